"""Ingestion on gRPC: what callers see, and nothing else of the service knows protobuf."""
