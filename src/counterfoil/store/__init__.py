"""The system of record in PostgreSQL: schema, migrations, named queries, and the embedded server."""
