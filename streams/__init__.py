"""JetStream: streams, consumers, publishing and delivery. The only home of nats."""
