"""What every process needs and no payment cares about: clock, ids, log, metrics, batching, retry, shutdown."""
