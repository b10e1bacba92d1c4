"""What the gateway and the collectors both speak: events, wire format, outcomes, settings, telemetry."""
