"""Counterfoil takes payment orders and sees each one through to money and a record of it."""
