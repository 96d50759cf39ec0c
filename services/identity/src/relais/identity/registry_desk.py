"""The desk for the registry: register, revoke, look up, list. Every change is one fact, and no restart anywhere."""

from collections.abc import Callable
from typing import Final

from relais.contracts import Fact, decode
from relais.contracts.subjects import partition_of
from relais.eventlog.acts import Act, record
from relais.eventlog.log import READ_MAXIMUM, EventLog
from relais.eventlog.record import Append, StoredEvent
from relais.identity.domain.registry import Command, Context, Entry, decide, evolve, streams_of

ENTRIES_MAXIMUM: Final = 50_000


class RegistryFull(Exception):
    """A list would be longer than this replica will hold in memory."""


class RegistryDesk:
    """Who the organisations are, as the registry log tells it. `committed` is called after each change that was stored."""

    def __init__(self, log: EventLog, committed: Callable[[], None]) -> None:
        self._log = log
        self._committed = committed

    async def apply(self, act: Act, command: Command) -> Entry:
        """Decide on a command and store its fact; the entry as it is afterwards. Raises `IdentityRefusal`."""

        async def decided() -> tuple[Entry, list[Append]]:
            tenant, own, others = streams_of(command)
            stored = await self._log.read_streams(list(dict.fromkeys([(tenant, own), *((tenant, stream) for stream in others)])))
            entries = {stream: _entry(events) for (_, stream), events in stored.items()}
            entry = entries[own]
            facts = decide(command, Context(entry, {stream: entries[stream] for stream in others}))
            events = tuple(act.event(own, fact, partition_of(tenant, own), entry.version + number) for number, fact in enumerate(facts))
            for fact in facts:
                entry = evolve(entry, fact)
            return entry, [Append(events)] if events else []

        return await record(self._log, self._committed, decided)

    async def get(self, tenant: str, stream: str) -> Entry:
        """What is registered under one stream; an entry without a fact where nothing is."""
        return _entry((await self._log.read_streams([(tenant, stream)]))[tenant, stream])

    async def list(self, kinds: tuple[type[Fact], ...], tenant: str | None) -> dict[tuple[str, str], Entry]:
        """Everything of some kinds, by (tenant, stream), sorted; None means of every tenant. Raises `RegistryFull`.

        The registry is small and lists are rare, so they are read from the log itself: no read model can fall behind it.
        """
        entries: dict[tuple[str, str], Entry] = {}
        tags = [kind.TAG for kind in kinds]
        after = 0
        while True:
            page = await self._log.read(after, READ_MAXIMUM, tags=tags, tenant=tenant)
            for event in page:
                key = (event.tenant, event.stream)
                entries[key] = evolve(entries.get(key, Entry()), decode(event.tag, event.payload))
            if len(entries) > ENTRIES_MAXIMUM:
                raise RegistryFull
            if len(page) < READ_MAXIMUM:
                return dict(sorted(entries.items()))
            after = page[-1].position


def _entry(events: list[StoredEvent]) -> Entry:
    entry = Entry()
    for event in events:
        entry = evolve(entry, decode(event.tag, event.payload))
    return entry
