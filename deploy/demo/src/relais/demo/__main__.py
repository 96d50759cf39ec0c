"""`python -m relais.demo`."""

from relais.demo.main import main

main()
