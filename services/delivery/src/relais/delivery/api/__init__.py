"""The gRPC edge of delivery: `relais.api.delivery.v1`, and nothing decided here."""
