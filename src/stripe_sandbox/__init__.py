"""A Stripe that fits in a laptop: stateful, offline, spoken to over HTTP exactly as Stripe is."""
