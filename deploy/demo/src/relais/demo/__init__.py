"""The demonstration: `python -m relais.demo` starts a whole Relais, carries documents through it and tells what became of each."""
