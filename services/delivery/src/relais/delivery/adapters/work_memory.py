"""The queue in memory, for simulations; verified by the suite that Postgres passes."""

from collections.abc import Collection, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from datetime import datetime
from typing import Any

from relais.clock import Clock
from relais.delivery.domain.endpoint import EndpointMode
from relais.delivery.domain.retrying import read
from relais.delivery.ports import Backlog, DeliveryId, Due, OpenDelivery, QueueFilter
from relais.delivery.work import Row


class MemoryWorkQueue:
    """See `relais.delivery.ports.WorkQueue`. Give `apply_work` to `MemoryEventLog`."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._rows: dict[DeliveryId, OpenDelivery] = {}
        self._scheduled: list[DeliveryId] = []
        self._modes: dict[str, EndpointMode] = {}
        self._parked: dict[tuple[str, str], int] = {}

    def apply_work(self, rows: list[Row]) -> None:
        """What `delivery.apply_work` does, in the same order of kinds."""
        for wanted in ("open", "set", "close", "park", "unpark", "endpoint"):
            for row in rows:
                if row["op"] == wanted:
                    self._apply(row)

    def _apply(self, row: dict[str, Any]) -> None:
        key = DeliveryId(row.get("tenant", ""), row.get("document", ""), row.get("ordinal", 0))
        match row["op"]:
            case "endpoint":
                self._modes[row["endpoint"]] = EndpointMode(row["state"])
            case "park":
                self._parked[key[:2]] = row["partition"]
            case "unpark":
                self._parked.pop(key[:2], None)
            case "open":
                if key not in self._rows:
                    self._rows[key] = self._opened(key, row)
                    self._scheduled.append(key)
            case "set" if key in self._rows:
                changes: dict[str, Any] = {name: row[name] for name in ("state", "attempts", "code", "reason") if name in row}
                if "due_at" in row:
                    changes["due_at"] = read(row["due_at"])
                self._rows[key] = replace(self._rows[key], updated_at=self._clock.now(), **changes)
            case "close":
                self._rows.pop(key, None)

    def _opened(self, key: DeliveryId, row: dict[str, Any]) -> OpenDelivery:
        return OpenDelivery(
            id=key,
            endpoint=row["endpoint"],
            connector=row["connector"],
            kind=row["kind"],
            site=row["site"],
            state=row["state"],
            attempts=row["attempts"],
            code=row.get("code", ""),
            reason=row.get("reason", ""),
            scheduled_at=read(row["scheduled_at"]),
            due_at=read(row["due_at"]),
            updated_at=self._clock.now(),
        )

    async def due(self, endpoint: str, now: datetime, limit: int, skip: Collection[DeliveryId]) -> Due:
        mode = self._modes.get(endpoint, EndpointMode.OPEN)
        skipped = {delivery.document for delivery in skip}
        waiting = [
            row
            for row in self._rows.values()
            if row.endpoint == endpoint and row.state == "waiting" and row.due_at <= now
            if row.id.document not in skipped and row.id[:2] not in self._parked
        ]
        if mode is EndpointMode.PAUSED:
            waiting = []
        if mode is EndpointMode.DRAINING:
            waiting = [row for row in waiting if row.attempts > 0]
        waiting.sort(key=lambda row: row.due_at)
        return Due(mode, [row.id for row in waiting[:limit]])

    async def closed_among(self, deliveries: Sequence[DeliveryId]) -> AbstractSet[DeliveryId]:
        return {delivery for delivery in deliveries if not self._may_go(delivery)}

    async def of_documents(self, documents: Sequence[tuple[str, str]]) -> Sequence[DeliveryId]:
        return sorted(delivery for delivery in self._rows if (delivery.tenant, delivery.document) in documents)

    async def parked(self, partitions: Collection[int]) -> Collection[tuple[str, str]]:
        return [document for document, partition in self._parked.items() if partition in partitions]

    async def page(self, wanted: QueueFilter, after: tuple[datetime, str, int] | None, limit: int) -> Sequence[OpenDelivery]:
        rows = [row for row in self._rows.values() if _wanted(row, wanted) and (after is None or _place(row) < after)]
        return sorted(rows, key=_place, reverse=True)[:limit]

    async def scheduled(self, tenant: str, before: int | None, limit: int) -> Sequence[tuple[int, DeliveryId]]:
        rows = reversed([(number, one) for number, one in enumerate(self._scheduled, start=1) if one.tenant == tenant])
        return [(number, one) for number, one in rows if before is None or number < before][:limit]

    async def backlogs(self, endpoints: Sequence[str]) -> Sequence[Backlog]:
        found = []
        for endpoint in endpoints:
            since = [row.scheduled_at for row in self._rows.values() if row.endpoint == endpoint and row.state == "waiting"]
            found.append(Backlog(endpoint, self._modes.get(endpoint, EndpointMode.OPEN), len(since), min(since, default=None)))
        return found

    def _may_go(self, delivery: DeliveryId) -> bool:
        return delivery in self._rows and self._rows[delivery].state == "waiting" and delivery[:2] not in self._parked


def _place(row: OpenDelivery) -> tuple[datetime, str, int]:
    return (row.scheduled_at, row.id.document, row.id.ordinal)


def _wanted(row: OpenDelivery, wanted: QueueFilter) -> bool:
    return (
        row.id.tenant == wanted.tenant
        and wanted.state in ("", row.state)
        and wanted.endpoint in ("", row.endpoint)
        and wanted.kind in ("", row.kind)
        and wanted.attempted in (None, row.attempts > 0)
        and (wanted.sites is None or row.site in wanted.sites)
    )
