"""What identity decides, all of it pure: whose document it is, what is doubtful, who the organisations are."""
