"""Reading the event logs."""
