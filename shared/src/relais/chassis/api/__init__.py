"""The gRPC edge that every service shares: errors, access, server, health, audit. Only packages named `api` import generated protobuf."""
