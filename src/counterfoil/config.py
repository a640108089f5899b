"""Settings: read once from the environment, checked, and handed down as one frozen value."""
