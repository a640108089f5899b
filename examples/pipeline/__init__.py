"""The whole pipeline on this machine: the shop, Kafka, every role, and the Stripe sandbox, each a process of its own.

``python -m examples.pipeline up`` runs it until interrupted, ``python -m examples.pipeline demo`` until three books
have been compared: the shop's, Counterfoil's and the sandbox's.
"""
