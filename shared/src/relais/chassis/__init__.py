"""What every service stands on: configuration, logs, metrics, traces, access, the gRPC edge, the run. See README.md."""
