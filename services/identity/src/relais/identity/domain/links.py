"""Which INS a local patient id belongs to: one small stream per (tenant, authority, local id), named by a keyed hash.

Neither the local id nor the INS is in it, only HMACs under the tenant's key. A link is made by the first document whose qualified
identity was verified, and moved by a person's release alone, so a held document teaches it nothing (SAFETY 9).
"""

import hmac
from dataclasses import dataclass
from enum import Enum
from typing import Final

from relais.contracts.fact import Fact
from relais.contracts.identity import LocalIdLinked
from relais.contracts.submission import DeclaredIdentity
from relais.identity.domain.ins import canonical_matricule

KEY_PURPOSE: Final = "identity-link"
STREAM_PREFIX: Final = "link/"
_SEPARATOR: Final = "\0"


class Standing(Enum):
    """How an INS stands to a local id: nobody's yet, its own, a former one of its own, or another person's."""

    FREE = "free"
    ACTIVE = "active"
    FORMER = "former"
    ANOTHER = "another"


@dataclass(frozen=True, slots=True)
class Link:
    """The INS a local id belongs to, and those it belonged to, as keyed hashes."""

    active: bytes = b""
    former: frozenset[bytes] = frozenset()
    version: int = 0

    def standing(self, mark: bytes) -> Standing:
        """How the INS of this mark stands to the local id."""
        if mark == self.active:
            return Standing.ACTIVE
        if mark in self.former:
            return Standing.FORMER
        return Standing.ANOTHER if self.active else Standing.FREE


FREE: Final = Link()


def evolve(link: Link, fact: Fact) -> Link:
    """Fold one fact of a link's stream."""
    if isinstance(fact, LocalIdLinked):
        former = (link.former | {link.active} if link.active else link.former) - {fact.ins}
        return Link(fact.ins, former, link.version + 1)
    return Link(link.active, link.former, link.version + 1)


def stream_of(key: bytes, site: str, identity: DeclaredIdentity) -> str:
    """The stream of the declared local id, or empty where there is none. A local id without an authority is its site's."""
    if not identity.local_id:
        return ""
    authority = identity.local_id_authority or f"site:{site}"
    return STREAM_PREFIX + _digest(key, "local", authority, identity.local_id).hex()


def mark_of(key: bytes, identity: DeclaredIdentity) -> bytes:
    """The keyed hash of the declared INS with its OID, or empty where none is declared."""
    matricule = canonical_matricule(identity.ins)
    return _digest(key, "ins", identity.ins_oid, matricule) if matricule else b""


def _digest(key: bytes, *parts: str) -> bytes:
    # The lengths are in it, so no two lists of parts are hashed as the same bytes.
    framed = _SEPARATOR.join(f"{len(part)}:{part}" for part in parts)
    return hmac.digest(key, framed.encode(), "sha256")
