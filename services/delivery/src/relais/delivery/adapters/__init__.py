"""The outer edges of delivery: the queue in Postgres and in memory, the endpoints file, and one package per connector."""
