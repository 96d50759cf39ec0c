"""Names on the bus, and the partition law. All of it is constant: renaming one of these is a migration."""

import hashlib
from typing import Final

PARTITIONS: Final = 32
LOGS: Final = ("ingestion", "identity", "registry", "routing", "delivery")

POSITION_HEADER: Final = "Relais-Position"
PREVIOUS_HEADER: Final = "Relais-Previous"


def partition_of(tenant: str, document_set: str) -> int:
    """The partition of a document set, fixed for ever: first 4 bytes of SHA-256(tenant NUL set id), modulo 32.

    `document_set` is the CDA setId (root or root^extension) or, without one, the document's own id, so that all versions
    of one document stay in order.
    """
    digest = hashlib.sha256(f"{tenant}\0{document_set}".encode()).digest()
    return int.from_bytes(digest[:4], "big") % PARTITIONS


def stream_of(log: str) -> str:
    """The JetStream stream that carries one log."""
    return f"RELAIS_{log.upper()}"


def subject_of(log: str, partition: int, tag: str) -> str:
    """The subject of one fact: `relais.<log>.<partition>.<tag>`."""
    return f"relais.{log}.{partition:02d}.{tag}"


def partition_filter(log: str, partition: int) -> str:
    """The subject filter of one partition of a log."""
    return f"relais.{log}.{partition:02d}.>"
