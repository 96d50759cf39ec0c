"""Routing's gRPC edge: reads requests, asks the desks, answers; the only part that knows protobuf."""
