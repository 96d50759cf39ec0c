"""The relais command: submit, follow, explain and mend."""
