"""Start, watch and stop the two servers Relais stands on, Postgres and nats-server, as plain processes of this machine.

Used by the test kit (`relais.testing`) and by the launcher (`relais.embedded`); no service imports it. It knows how to find the programs,
how not to be root, how to wait until a server answers and how to take everything along when the starter dies; it does not know what Relais
keeps in them.
"""
