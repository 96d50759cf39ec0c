"""Who may do what: the directory folded from the registry's facts, the first operators, and the record of denials and reads."""
