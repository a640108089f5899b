"""What a payment is: money, states, verdicts, facts. Pure: no I/O, no clock, no randomness, no logging."""
