"""The immutable event log: records, the port, Postgres and memory, the leaf envelope; see README.md for the life of an event."""
