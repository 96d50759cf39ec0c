"""Says whose document it is, who sent it, and who the organisations are."""
