"""What routing asks of the world, apart from the log, the vault and the bus, which are shared."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


class Sites(Protocol):
    """What routing needs to know of the registry, kept in memory by every replica."""

    def group_of(self, tenant: str, site: str) -> str | None:
        """The group of a registered site, empty where it belongs to none; None where the site is not registered."""
        ...

    def has_group(self, tenant: str, group: str) -> bool:
        """Whether a group is registered."""
        ...


@dataclass(frozen=True, slots=True)
class HeldRow:
    """A document that waits for a person: codes only, nothing about a patient. `held_at` is of its oldest waiting request."""

    tenant: str
    document: str
    site: str
    type_code: str
    reasons: tuple[str, ...]
    rules: tuple[str, ...]
    held_at: datetime
    etag: str


class Held(Protocol):
    """The documents that wait, as the log's own work rows keep them."""

    async def list(
        self, tenant: str, sites: Sequence[str], reasons: Sequence[str], limit: int, after: tuple[datetime, str] | None
    ) -> list[HeldRow]:
        """A page, oldest first, after the keyset cursor (held_at, document); `sites` and `reasons` narrow it, empty means all."""
        ...
