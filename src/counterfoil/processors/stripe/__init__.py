"""Stripe: everything that would change if Stripe were replaced."""
