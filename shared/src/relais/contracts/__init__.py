"""The vocabulary of facts: what the services say to one another, and to whoever reads the logs years later."""

from relais.contracts import access, delivery, identity, ingestion, registry, routing
from relais.contracts.fact import Fact, UnknownTag, decode, encode, tags

__all__ = ["Fact", "UnknownTag", "access", "decode", "delivery", "encode", "identity", "ingestion", "registry", "routing", "tags"]
