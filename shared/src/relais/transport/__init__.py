"""How facts travel: bus, relay, leases, consumers; see README.md for the life of an announcement."""
