"""What identity asks of the world, apart from the log, the vault and the bus, which are shared."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from relais.contracts.submission import DeclaredIdentity
from relais.identity.domain.examination import InsiAnswer


class Insi(Protocol):
    """The national teleservice of the INS, asked before deciding and never during (SAFETY 8)."""

    async def ask(self, identities: Sequence[DeclaredIdentity]) -> list[InsiAnswer]:
        """One answer for each identity, in order; NOT_ASKED where neither status nor policy requires a question."""
        ...


@dataclass(frozen=True, slots=True)
class HeldRow:
    """A document that waits for a person: codes only, nothing about a patient. `held_at` is of its oldest waiting request."""

    tenant: str
    document: str
    site: str
    type_code: str
    reasons: tuple[str, ...]
    evidence: tuple[str, ...]
    held_at: datetime
    etag: str


class Held(Protocol):
    """The documents that wait, as the log's own work rows keep them."""

    async def list(
        self, tenant: str, sites: Sequence[str], reasons: Sequence[str], limit: int, after: tuple[datetime, str] | None
    ) -> list[HeldRow]:
        """A page, oldest first, after the keyset cursor (held_at, document); `sites` and `reasons` narrow it, empty means all."""
        ...
