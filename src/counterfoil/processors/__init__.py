"""Those who move the money, each behind the same port."""
