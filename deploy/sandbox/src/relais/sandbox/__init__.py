"""The outside world, played by programs: partners that receive what Relais delivers."""
