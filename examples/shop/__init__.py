"""A small order service with its own database and outbox: what a team whose orders travel as events has already."""
