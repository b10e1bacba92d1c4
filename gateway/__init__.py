"""HTTP in: receives webhooks, validates their events and makes them durable in JetStream."""
