"""Kafka: how messages leave and come in. What they say is `messages`' business, and when is the journey's."""
