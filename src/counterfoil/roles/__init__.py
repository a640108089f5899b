"""The processes: each has a port or a consumer group, hears SIGTERM, and is thin."""
