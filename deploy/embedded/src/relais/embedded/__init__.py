"""Relais on one machine: Postgres, nats-server, the sandbox and every service, started, watched and stopped."""
