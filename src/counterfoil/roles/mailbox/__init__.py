"""The mailbox of `counterfoil up`: a mail server that sends nothing on, and shows what it was given.

Not a role that an installation has: it stands where the customers are, as the sandbox stands where Stripe is.
"""
