"""The stage of one fault: a load before, during and after it, auditors who follow every log meanwhile, and the promises afterwards."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random
from typing import Final

from relais.client.audit import Event, Question
from relais.client.client import RelaisClient
from relais.client.errors import Unavailable
from relais.eventlog.postgres import Pool, PostgresEventLog
from tests.faults.arena import Arena
from tests.faults.figures import Figure, Figures
from tests.faults.journal import LOGS, Journal
from tests.faults.ledger import Ledger
from tests.faults.load import PER_SECOND, Load
from tests.faults.outside import Kept, Outside
from tests.faults.promises import require_promises
from tests.faults.senders import PARTNERS
from tests.faults.waiting import until

FLOW_SECONDS: Final = 45.0
SETTLE_SECONDS: Final = 60.0
# A lease of 5 s and the next look of its heir, on a machine that has other things to do.
TAKEN_OVER_SECONDS: Final = 12.0
LOOK_SECONDS: Final = 0.1
# An outcome, as a sender who asks for its document is told.
OUTCOMES: Final = frozenset({"DONE", "HELD"})
LOGS_OF: Final = {"ingestion": ("ingestion",), "identity": ("identity", "registry"), "routing": ("routing",), "delivery": ("delivery",)}


class Round:
    """One fault under load. The test calls `struck` at the moment it strikes."""

    def __init__(self, scene: "Scene", fault: str, load: Load) -> None:
        self._scene = scene
        self.load = load
        self.figure = Figure(fault)
        self.struck_at = 0.0

    def struck(self) -> None:
        """Now."""
        self.struck_at = time.time()

    def since(self) -> float:
        """Seconds since it struck."""
        return time.time() - self.struck_at

    async def flowing(self) -> None:
        """Wait until something that is sent from now on arrives."""
        began = time.time()
        await until(lambda: self.load.acknowledged(began), FLOW_SECONDS, "nothing is acknowledged")
        await until(lambda: self._arrived(began), FLOW_SECONDS, "nothing arrives any more", LOOK_SECONDS)

    async def recovered(self) -> None:
        """Wait until documents sent after the fault are acknowledged and arrive."""
        assert self.struck_at, "nothing struck"
        await until(lambda: self.load.acknowledged(self.struck_at), FLOW_SECONDS, "nothing is acknowledged any more")
        await until(lambda: self._arrived(self.struck_at), FLOW_SECONDS, "nothing arrives any more", LOOK_SECONDS)

    async def taken_over(self, part: str) -> None:
        """Wait until nobody holds a lease in the name of this part's process as it is now, and note how long that took."""
        before = await self._scene.leases(part)

        async def gone() -> bool:
            return not before & await self._scene.leases(part)

        await until(gone, TAKEN_OVER_SECONDS, f"leases of {part} are not taken over", LOOK_SECONDS)
        self.figure.taken_over = self.since()

    async def _arrived(self, since: float) -> bool:
        scene = self._scene
        await scene.journal.refresh(scene.logs)
        return scene.journal.delivered_since(since, {sent.request_id for sent in self.load.sent if sent.first_at > since})


class Scene:
    """What one test works with. Connections are its own; what was sent, seen and recorded is the whole run's."""

    def __init__(self, arena: Arena, ledger: Ledger, journal: Journal, figures: Figures, chance: Random) -> None:
        self.arena = arena
        self.ledger = ledger
        self.journal = journal
        self.figures = figures
        self.chance = chance
        self.outside = Outside(arena.address("sandbox", "control"))
        self.logs: dict[str, PostgresEventLog] = {}
        self._pool: Pool | None = None
        self._sender: RelaisClient | None = None

    def open(self, pool: Pool, sender: RelaisClient) -> None:
        """Give it this test's connections."""
        self._pool, self._sender = pool, sender
        self.logs = {log: PostgresEventLog(pool, log) for log in LOGS}

    @property
    def sender(self) -> RelaisClient:
        """A client with the sender's certificate."""
        assert self._sender is not None
        return self._sender

    @asynccontextmanager
    async def under_load(self, fault: str, *, per_second: float = PER_SECOND) -> AsyncIterator[Round]:
        """Send before, during and after what the block does; afterwards everything promised must hold."""
        async with Load(self.sender, self.ledger, per_second=per_second) as load:
            round_ = Round(self, fault, load)
            await round_.flowing()
            yield round_
            await round_.recovered()
        await self._settle(round_)
        await self.require_promises(round_)
        self.figures.rows.append(round_.figure)

    async def leases(self, part: str) -> set[tuple[str, str, str]]:
        """Log, resource and holder of every lease of this part's processes."""
        assert self._pool is not None
        found = set()
        for log in LOGS_OF[part.partition("-")[0]]:
            rows = await self._pool.fetch(f"SELECT resource, holder FROM {log}.lease WHERE '/' || holder LIKE $1", f"%/{part}/%")
            found |= {(log, row["resource"], row["holder"]) for row in rows}
        return found

    async def evidence(self) -> dict[str, list[Kept]]:
        """Bring ledger and journal to one moment, and ask what partners have."""
        self.ledger.close_reads()
        assert await self.journal.refresh(self.logs), "the record is away"
        return {partner: await self.outside.kept(partner) for partner in PARTNERS.values()}

    async def require_promises(self, round_: Round) -> None:
        """Check everything, over the whole run so far."""
        kept = await self.evidence()
        require_promises(self.ledger, self.journal, kept)
        for partner in PARTNERS.values():
            assert await self.outside.disbelieved(partner) == 0, f"{partner} did not believe a signature or a digest"
        round_.figure.repeats = sum(effect.times - 1 for effects in kept.values() for effect in effects)
        await until(lambda: self._told(round_), SETTLE_SECONDS, "a sender is not told what became of its documents", LOOK_SECONDS)

    async def _settle(self, round_: Round) -> None:
        requests = {sent.request_id: sent for sent in round_.load.sent}

        async def settled() -> bool:
            await self.journal.refresh(self.logs)
            return all(self.journal.settled(sent.document, request) for request, sent in requests.items() if sent.receipt is not None)

        await until(settled, SETTLE_SECONDS, "acknowledged documents have no outcome and wait for nobody", LOOK_SECONDS)
        self._measure(round_)

    def _measure(self, round_: Round) -> None:
        """From what was recorded, not from when we looked."""
        figure, struck_at = round_.figure, round_.struck_at
        acknowledged = [sent.acknowledged_at for sent in round_.load.sent if sent.first_at > struck_at and sent.acknowledged_at is not None]
        arrivals = [(sent.first_at, self._arrivals(sent.document)) for sent in round_.load.sent]
        figure.documents = len(round_.load.sent)
        figure.acknowledged = min(acknowledged) - struck_at
        figure.delivered = min(moments[0] for first_at, moments in arrivals if first_at > struck_at and moments) - struck_at
        # Until the last of those that were under way when it struck had reached its last destination.
        under_way = [moments[-1] for first_at, moments in arrivals if first_at <= struck_at and moments]
        figure.caught_up = max(0.0, max(under_way, default=struck_at) - struck_at)
        figure.slowest = max((moments[-1] - first_at for first_at, moments in arrivals if moments), default=0.0)

        waits = [sent.acknowledged_at - sent.first_at for sent in round_.load.sent if sent.acknowledged_at is not None]
        figure.slowest_acknowledged = max(waits, default=0.0)

    def _arrivals(self, document: str) -> list[float]:
        """When it arrived where, in order."""
        return sorted(moment for place, moments in self.journal.succeeded.items() if place[0] == document for moment in moments)

    async def _told(self, round_: Round) -> bool:
        wanted = {sent.document for sent in round_.load.sent}
        states = {}
        async for document in self.sender.documents.list(limit=len(wanted)):
            states[document.name.rpartition("/")[2]] = document.state
        return all(states.get(document) in OUTCOMES for document in wanted)

    async def follow(self, operator: RelaisClient, log: str) -> None:
        """An auditor: reads one log for as long as the test runs, and goes on where it was when its replica dies."""
        while True:
            try:
                question = Question(from_position=self.ledger.reached.get(log, 0) + 1, follow=True, every_tenant=True)
                async for frame in operator.audit(log).read(question):
                    if isinstance(frame, Event):
                        self.ledger.saw(f"auditor of {log}", log, frame)
            except Unavailable:
                await asyncio.sleep(0)
