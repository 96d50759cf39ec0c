"""The desk for policies: draft, validate, activate, look up. Independent of how it is called."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from relais.contracts import decode
from relais.contracts.routing import Policy, PolicyActivated, PolicyCreated
from relais.contracts.subjects import partition_of
from relais.eventlog.acts import Act, record
from relais.eventlog.log import READ_MAXIMUM, EventLog
from relais.eventlog.record import Append, StoredEvent
from relais.routing.domain.errors import Reused, Unknown
from relais.routing.domain.policy import (
    GROUP_PREFIX,
    NO_ENDPOINT,
    SCOPE,
    SITE_PREFIX,
    TENANT_SCOPE,
    ActivatePolicy,
    CreatePolicy,
    ScopeState,
    stream_of,
    validate,
    warnings,
)
from relais.routing.ports import Sites

ACTIVE: Final = "-"


@dataclass(frozen=True, slots=True)
class PolicyVersion:
    """One version of a scope's policy, as it stands now."""

    scope: str
    version: int
    policy: Policy
    active: bool
    etag: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class _Scope:
    """A scope's stream, folded; `events` say when each version was created and by which act."""

    scope: str
    state: ScopeState
    events: Sequence[StoredEvent]

    def version(self, number: int) -> PolicyVersion:
        """One version. Raises `Unknown`."""
        if number not in self.state.versions:
            raise Unknown("name")
        return PolicyVersion(
            scope=self.scope,
            version=number,
            policy=self.state.versions[number],
            active=self.state.active == number,
            etag=self.state.etag,
            created_at=self._created_at(number),
        )

    def _created_at(self, number: int) -> datetime:
        for event in self.events:
            fact = decode(event.tag, event.payload)
            if isinstance(fact, PolicyCreated | PolicyActivated) and fact.version == number:
                return event.recorded_at
        raise Unknown("name")


class PolicyDesk:
    """Policies as facts of the routing log. `committed` is called after each change that was stored."""

    def __init__(self, log: EventLog, sites: Sites, committed: Callable[[], None]) -> None:
        self._log = log
        self._sites = sites
        self._committed = committed

    def check(self, tenant: str, scope: str, policy: Policy) -> list[str]:
        """What an administrator should know of a draft. Raises `Invalid` or `Unknown`, exactly as `create` would."""
        validate(scope, policy)
        name = scope.partition(":")[2]
        if scope.startswith(SITE_PREFIX) and self._sites.group_of(tenant, name) is None:
            raise Unknown("scope")
        if scope.startswith(GROUP_PREFIX) and not self._sites.has_group(tenant, name):
            raise Unknown("scope")
        # A narrower scope inherits the endpoints that it does not name.
        return sorted(one for one in warnings(policy) if scope == TENANT_SCOPE or not one.startswith(NO_ENDPOINT))

    async def create(self, act: Act, scope: str, policy: Policy) -> PolicyVersion:
        """Create the next draft of a scope; the same act again gives the same draft. Raises `RoutingRefusal`."""
        self.check(act.tenant, scope, policy)

        async def decide() -> tuple[int, list[Append]]:
            loaded = await self._load(act.tenant, scope)
            if act.id is not None and (known := (await self._log.find([act.id])).get(act.id)) is not None:
                return _same_draft(known, scope, policy), []
            (fact,) = SCOPE.decide(CreatePolicy(scope, policy), loaded.state)
            stream = stream_of(scope)
            drafted = act.event(stream, fact, partition_of(act.tenant, stream), loaded.state.version)
            return len(loaded.state.versions) + 1, [Append((drafted,))]

        version = await record(self._log, self._committed, decide)
        return (await self._load(act.tenant, scope)).version(version)

    async def activate(self, act: Act, scope: str, version: int, etag: str) -> PolicyVersion:
        """Let a version decide from now on. Raises `RoutingRefusal`."""

        async def decide() -> tuple[None, list[Append]]:
            loaded = await self._load(act.tenant, scope)
            facts = SCOPE.decide(ActivatePolicy(scope, version, etag), loaded.state)
            stream = stream_of(scope)
            partition = partition_of(act.tenant, stream)
            return None, [Append((act.event(stream, fact, partition, loaded.state.version),)) for fact in facts]

        await record(self._log, self._committed, decide)
        return (await self._load(act.tenant, scope)).version(version)

    async def get(self, tenant: str, scope: str, version: str) -> PolicyVersion:
        """One version, or with `-` the active one. Raises `Unknown`."""
        loaded = await self._load(tenant, scope)
        number = loaded.state.active if version == ACTIVE else int(version) if version.isascii() and version.isdecimal() else None
        if number is None:
            raise Unknown("name")
        return loaded.version(number)

    async def list(self, tenant: str) -> list[PolicyVersion]:
        """Every version of every scope of a tenant, scopes by name, newest first in each."""
        scopes: set[str] = set()
        after = 0
        while True:
            page = await self._log.read(after, READ_MAXIMUM, tags=[PolicyCreated.TAG, PolicyActivated.TAG], tenant=tenant)
            scopes.update(
                fact.scope for event in page if isinstance(fact := decode(event.tag, event.payload), PolicyCreated | PolicyActivated)
            )
            if len(page) < READ_MAXIMUM:
                break
            after = page[-1].position
        loaded = [await self._load(tenant, scope) for scope in sorted(scopes)]
        return [one.version(number) for one in loaded for number in sorted(one.state.versions, reverse=True)]

    async def _load(self, tenant: str, scope: str) -> _Scope:
        key = (tenant, stream_of(scope))
        events = (await self._log.read_streams([key]))[key]
        return _Scope(scope, SCOPE.fold(decode(event.tag, event.payload) for event in events), events)


def _same_draft(known: StoredEvent, scope: str, policy: Policy) -> int:
    """The version that the same act made before. Raises `Reused` when it was another draft."""
    fact = decode(known.tag, known.payload)
    if not isinstance(fact, PolicyCreated) or fact.scope != scope or fact.policy != policy:
        raise Reused("request_id")
    return fact.version
