"""JetStream to PostgreSQL: consumes a source's stream and stores its events."""
