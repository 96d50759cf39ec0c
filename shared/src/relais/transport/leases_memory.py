"""Leases in memory, for simulations; verified by the suite that Postgres passes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from relais.clock import Clock
from relais.transport.leases import LeasesUnavailable, Tick, TickAnswer, partition_of_resource

Fence = Callable[[str, str, int, int], None]


@dataclass(slots=True)
class _Row:
    holder: str
    epoch: int
    expires_at: float


class MemoryLeaseStore:
    """See `relais.transport.leases.LeaseStore`. `clock` plays the database's; all replicas of a simulation share one store.

    `fence(consumer, log, partition, epoch)` gives the checkpoint of a partition that is taken over its new epoch (`MemoryEventLog.fence`).
    """

    def __init__(self, clock: Clock, fence: Fence | None = None) -> None:
        self._clock = clock
        self._fence = fence
        self._rows: dict[str, _Row] = {}
        self._members: dict[tuple[str, str], float] = {}
        self.available = True

    async def tick(self, tick: Tick) -> TickAnswer:
        self._require_available()
        now = self._clock.monotonic()
        expires_at = now + tick.duration_seconds
        for group in tick.groups:
            self._members[group, tick.holder] = now
        renewed = {resource for resource, epoch in tick.renewals if self._owns(tick.holder, resource, epoch)}
        for resource in renewed:
            self._rows[resource].expires_at = expires_at
        claimed: dict[str, int] = {}
        for resource in sorted(tick.claims):
            if resource not in renewed and self._free(resource, tick.holder, now):
                claimed[resource] = self._take_over(resource, tick.holder, expires_at)
        alive = {group: self._alive(group, now - tick.duration_seconds) for group in tick.groups}
        free = frozenset(resource for resource in tick.watched if self._free(resource, tick.holder, now))
        return TickAnswer(frozenset(renewed), claimed, alive, free - renewed - claimed.keys())

    async def give_back(self, holder: str, leases: Sequence[tuple[str, int]], leave: Sequence[str]) -> None:
        self._require_available()
        for resource, epoch in leases:
            if self._owns(holder, resource, epoch):
                self._rows[resource] = _Row("", epoch, float("-inf"))
        for group in leave:
            self._members.pop((group, holder), None)

    def _take_over(self, resource: str, holder: str, expires_at: float) -> int:
        before = self._rows.get(resource)
        epoch = before.epoch + 1 if before else 1
        self._rows[resource] = _Row(holder, epoch, expires_at)
        place = partition_of_resource(resource)
        if place is not None and self._fence is not None:
            self._fence(*place, epoch)
        return epoch

    def _owns(self, holder: str, resource: str, epoch: int) -> bool:
        row = self._rows.get(resource)
        return row is not None and row.holder == holder and row.epoch == epoch

    def _free(self, resource: str, holder: str, now: float) -> bool:
        """Whether `holder` may take it, unless it has just renewed it."""
        row = self._rows.get(resource)
        return row is None or row.expires_at < now or row.holder == holder

    def _alive(self, group: str, since: float) -> int:
        return sum(seen_at > since for (one, _), seen_at in self._members.items() if one == group)

    def _require_available(self) -> None:
        if not self.available:
            raise LeasesUnavailable("out of reach")
