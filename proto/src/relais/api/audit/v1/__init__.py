"""Reading the event logs. The first version of the contract."""
