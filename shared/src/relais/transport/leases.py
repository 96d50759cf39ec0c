"""Who may do what, and until when: leases with epochs, and fair shares of them among the replicas that are alive.

A lease is a row in the schema of the service's own log. The database's clock alone decides when it has run out, and a
takeover raises its epoch. A holder trusts its lease a little less long than the database does, because it counts from
before it asked. Whoever slept through all of that is refused in the commit of its effects: a takeover gives the partition's
checkpoint the new epoch, and an append under another one is `Fenced`.

When the answer to a claim is lost, the row names a holder that does not know it. It claims again and is given a new epoch at
once, because no process can have used the one that was never heard of; everybody else waits until the row runs out.

    partition/<consumer>/<log>/<pp>   one partition of one log, for one consumer: shared among the replicas
    relay                             the one relay of this log
    endpoint/<id>                     the one dispatcher of a destination
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import structlog

from relais.chassis.failpoints import Failpoint, reach
from relais.clock import Clock
from relais.contracts.subjects import PARTITIONS
from relais.transport.bell import Bell
from relais.transport.meters import Meters, Unmetered
from relais.transport.sharing import claims_of, surplus_of

LEASE_SECONDS: Final = 5.0
RENEW_SECONDS: Final = 1.5
TICK_ROUNDS_MAXIMUM: Final = 3

RELAY_RESOURCE: Final = "relay"

_log = structlog.get_logger("relais.transport")


class LeasesUnavailable(Exception):
    """The database that keeps the leases cannot be asked now; what is held runs out by itself."""


def partition_resource(consumer: str, log: str, partition: int) -> str:
    """The resource that is one partition of a log, for one consumer."""
    return f"partition/{consumer}/{log}/{partition:02d}"


def partition_resources(consumer: str, log: str) -> list[str]:
    """All partitions of a log, for one consumer."""
    return [partition_resource(consumer, log, partition) for partition in range(PARTITIONS)]


def partition_of_resource(resource: str) -> tuple[str, str, int] | None:
    """Consumer, log and partition of a resource that is a partition."""
    kind, _, rest = resource.partition("/")
    if kind != "partition":
        return None
    consumer, log, partition = rest.rsplit("/", 2)
    return consumer, log, int(partition)


@dataclass(frozen=True, slots=True)
class Tick:
    """All that one replica asks of the database at once: seen as a member of `groups`, renew these (resource, epoch), take over
    those of `claims` that are free, and say which of `watched` are free now.

    Free for `holder` is what nobody holds, what has run out, and what is its own without its knowing: under an epoch that it does
    not renew. What this tick renews is neither free nor claimed by it.
    """

    holder: str
    groups: tuple[str, ...]
    renewals: tuple[tuple[str, int], ...]
    claims: tuple[str, ...]
    watched: tuple[str, ...]
    duration_seconds: float


@dataclass(frozen=True, slots=True)
class TickAnswer:
    """What was renewed, what was taken over and under which epoch, how many members of each group are alive, and what is free."""

    renewed: frozenset[str]
    claimed: dict[str, int]
    alive: dict[str, int]
    free: frozenset[str]


class LeaseStore(Protocol):
    """Where leases are kept. Two implementations: Postgres, and memory for simulations; one suite runs on both."""

    async def tick(self, tick: Tick) -> TickAnswer:
        """One round trip, one transaction. A claimed partition's checkpoint gets the new epoch in it. Raises `LeasesUnavailable`."""
        ...

    async def give_back(self, holder: str, leases: Sequence[tuple[str, int]], leave: Sequence[str]) -> None:
        """Free these leases (resource, epoch) at once, and stop being a member of the groups `leave`. Raises `LeasesUnavailable`."""
        ...


class Lease:
    """A right that runs out. `LeaseKeeper` renews the object in place; nobody else changes it."""

    __slots__ = ("_clock", "_valid_until", "epoch", "leaving", "resource")

    def __init__(self, resource: str, epoch: int, clock: Clock, valid_until: float) -> None:
        self.resource = resource
        self.epoch = epoch
        self.leaving = False
        self._clock = clock
        self._valid_until = valid_until

    @property
    def valid(self) -> bool:
        """Whether it can be used at this moment."""
        return self.outlasts(0.0)

    def outlasts(self, seconds: float) -> bool:
        """Whether it is still ours after so long, even if it cannot be renewed any more: asked before anything that takes that long."""
        return self._clock.monotonic() + seconds < self._valid_until

    def extend(self, valid_until: float) -> None:
        """The keeper renewed it."""
        self._valid_until = max(self._valid_until, valid_until)

    def end(self) -> None:
        """It was given back, or refused: from now on another epoch may be in use, even in this process, so its time counts no more."""
        self._valid_until = float("-inf")


class Share:
    """One replica's part of a group of resources. `changed` rings when it may have grown or shrunk."""

    def __init__(self, keeper: "LeaseKeeper", group: str, resources: Iterable[str]) -> None:
        self._keeper = keeper
        self.group = group
        self.resources = tuple(resources)
        self.leases: dict[str, Lease] = {}
        self.claims: tuple[str, ...] = ()
        self.changed = Bell()

    def held(self) -> dict[str, Lease]:
        """What may be worked on now: valid, and not about to be given back."""
        return {resource: lease for resource, lease in self.leases.items() if lease.valid and not lease.leaving}

    def leaving(self) -> list[Lease]:
        """What others need more: finish what is under way, then `give_back`."""
        return [lease for lease in self.leases.values() if lease.leaving]

    def offer(self, resources: Iterable[str]) -> None:
        """The group has other resources now; what is held stays held until it is given back."""
        self.resources = tuple(resources)
        self._keeper.hurry()

    def drop(self, resource: str) -> None:
        """End a lease at once: the log said `Fenced`, so it is not ours any more."""
        lease = self.leases.pop(resource, None)
        if lease is not None:
            lease.end()

    async def give_back(self, leases: Sequence[Lease]) -> None:
        """Free leases that nothing uses any more. When the database cannot be asked they run out by themselves."""
        for lease in leases:
            # What is held meanwhile under a later epoch is not what is given back.
            if self.leases.get(lease.resource) is lease:
                del self.leases[lease.resource]
        await self._keeper.give_back(leases)

    async def leave(self) -> None:
        """Give everything back and take part no more, so that others need not wait."""
        await self._keeper.leave(self)


class LeaseKeeper:
    """Keeps everything one replica holds in one schema: one round trip each RENEW_SECONDS, whatever the number of leases.

    `holder` names this process and no other, ever: host, process id and something random.
    """

    def __init__(
        self,
        store: LeaseStore,
        holder: str,
        clock: Clock,
        *,
        lease_seconds: float = LEASE_SECONDS,
        renew_seconds: float = RENEW_SECONDS,
        meters: Meters | None = None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._lease_seconds = lease_seconds
        self._renew_seconds = renew_seconds
        self._shares: dict[str, Share] = {}
        self._hurry = Bell()
        self._lost = (meters or Unmetered()).counter("relais_leases_lost_total")
        self.holder = holder

    def share(self, group: str, resources: Iterable[str]) -> Share:
        """Take part in a group: from the next tick on, this replica wants its fair part of these resources."""
        if group in self._shares:
            raise ValueError(f"the group {group} is shared twice")
        self._shares[group] = Share(self, group, resources)
        self.hurry()
        return self._shares[group]

    def hurry(self) -> None:
        """Do the next tick now."""
        self._hurry.ring()

    async def run(self) -> None:
        """Tick for ever. A database that cannot be asked is told once per outage and asked again."""
        reachable = True
        while True:
            try:
                await self.tick()
                if not reachable:
                    _log.info("database_restored")
                reachable = True
            except LeasesUnavailable as error:
                if reachable:
                    _log.warning("database_lost", error=str(error))
                reachable = False
            await self._hurry.wait(self._clock, self._renew_seconds)

    async def tick(self) -> None:
        """Renew, and take what is free and due to us, at once when there is some. Raises `LeasesUnavailable`."""
        for _ in range(TICK_ROUNDS_MAXIMUM):
            await self._round()
            if not any(share.claims for share in self._shares.values()):
                return

    async def close(self) -> None:
        """Give everything back, so that others need not wait for it to run out."""
        shares = list(self._shares.values())
        self._shares.clear()
        leases = [lease for share in shares for lease in share.leases.values()]
        for share in shares:
            share.leases.clear()
        await self.give_back(leases, [share.group for share in shares])

    async def give_back(self, leases: Sequence[Lease], leave: Sequence[str] = ()) -> None:
        """See `Share.give_back`."""
        for lease in leases:
            lease.end()
        if not leases and not leave:
            return
        try:
            await self._store.give_back(self.holder, [(lease.resource, lease.epoch) for lease in leases], leave)
        except LeasesUnavailable as error:
            _log.warning("database_lost", error=str(error))

    async def leave(self, share: Share) -> None:
        """See `Share.leave`."""
        self._shares.pop(share.group, None)
        leases = list(share.leases.values())
        share.leases.clear()
        await self.give_back(leases, [share.group])

    async def _round(self) -> None:
        shares = list(self._shares.values())
        reach(Failpoint.LEASE_BEFORE_RENEWED)
        asked_at = self._clock.monotonic()
        answer = await self._store.tick(
            Tick(
                holder=self.holder,
                groups=tuple(share.group for share in shares),
                renewals=tuple((lease.resource, lease.epoch) for share in shares for lease in share.leases.values()),
                claims=tuple(resource for share in shares for resource in share.claims),
                watched=tuple(resource for share in shares for resource in share.resources),
                duration_seconds=self._lease_seconds,
            )
        )
        for share in shares:
            self._settle(share, answer, asked_at + self._lease_seconds)
        # A share that left while this was under way must not keep what it has just won.
        await self.give_back([lease for share in shares if share.group not in self._shares for lease in share.leases.values()])
        if answer.claimed:
            reach(Failpoint.LEASE_AFTER_ACQUIRED)

    def _settle(self, share: Share, answer: TickAnswer, valid_until: float) -> None:
        lost = [resource for resource in share.leases if resource not in answer.renewed]
        for resource in lost:
            share.drop(resource)
        if lost:
            self._lost.inc(len(lost))
            _log.warning("lease_lost", count=len(lost))
        for resource, lease in share.leases.items():
            if resource in answer.renewed:
                lease.extend(valid_until)
        for resource in share.claims:
            if resource in answer.claimed:
                share.leases[resource] = Lease(resource, answer.claimed[resource], self._clock, valid_until)
        alive = answer.alive.get(share.group, 1)
        held = [resource for resource, lease in share.leases.items() if not lease.leaving]
        share.claims = claims_of(self.holder, share.resources, held, answer.free - share.leases.keys(), alive)
        for resource in surplus_of(share.resources, held, alive):
            share.leases[resource].leaving = True
        share.changed.ring()
