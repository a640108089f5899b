"""Programs beside Counterfoil that show it at work; none of them is needed to run it."""
