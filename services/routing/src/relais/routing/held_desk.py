"""The desk for documents that the law could not route without a person. Independent of how it is called."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from relais.clock import Clock
from relais.contracts import Fact, decode
from relais.contracts.routing import DocumentHeld
from relais.contracts.submission import SealedContent
from relais.eventlog.acts import Act, record
from relais.eventlog.log import EventLog
from relais.eventlog.record import Append, StoredEvent
from relais.routing.domain.case import Law
from relais.routing.domain.commands import Circumstances, DocumentState, Release, RequestState
from relais.routing.domain.document import DOCUMENT
from relais.routing.domain.errors import Changed, NotHeld
from relais.routing.domain.explanation import Explanation, recorded
from relais.routing.domain.policy import SCOPE, EffectivePolicy, effective, stream_of
from relais.routing.handlers import destination_key_of, scopes_in_force
from relais.routing.held import Row, held_rows
from relais.routing.law import rules
from relais.routing.law.age import day_of_sending
from relais.routing.ports import Sites
from relais.vault.seal import document_key, open_content
from relais.vault.vault import KeyRing, SealBroken


@dataclass(frozen=True, slots=True)
class HeldDocument:
    """A document that waits or waited for a person here. `etag` changes with every fact about it."""

    tenant: str
    document: str
    held: bool
    site: str
    type_code: str
    reasons: tuple[str, ...]
    rules: tuple[str, ...]
    held_at: datetime
    etag: str


@dataclass(frozen=True, slots=True)
class Explained:
    """The recorded decision of one document: whose site, when it was decided last, and why."""

    site: str
    decided_at: datetime
    explanation: Explanation


@dataclass(frozen=True, slots=True)
class _Loaded:
    events: Sequence[StoredEvent]
    facts: Sequence[Fact]
    state: DocumentState


class HeldDesk:
    """What a person may do about documents held by routing. `committed` is called after each decision that was stored."""

    def __init__(self, log: EventLog, keys: KeyRing, sites: Sites, law: Law, clock: Clock, committed: Callable[[], None]) -> None:
        self._log = log
        self._keys = keys
        self._sites = sites
        self._law = law
        self._clock = clock
        self._committed = committed

    async def find(self, tenant: str, document: str) -> HeldDocument | None:
        """A document that is or was held here; None for any other, and for what identity holds."""
        loaded = await self._load(tenant, document)
        held = [
            (event, fact)
            for event, fact in zip(loaded.events, loaded.facts, strict=True)
            if isinstance(fact, DocumentHeld) and rules.IDENTITY not in fact.rules
        ]
        if not held:
            return None
        waiting = loaded.state.held()
        event, fact = next(((event, fact) for event, fact in held if fact.submission.request in waiting), held[-1])
        return HeldDocument(
            tenant=tenant,
            document=document,
            held=bool(waiting),
            site=fact.submission.site,
            type_code=fact.submission.type_code,
            reasons=tuple(reason.value for reason in fact.reasons),
            rules=fact.rules,
            held_at=event.recorded_at,
            etag=str(loaded.state.version),
        )

    async def explain(self, tenant: str, document: str) -> Explained | None:
        """The recorded decision; None for a document that was never routed or held here."""
        loaded = await self._load(tenant, document)
        sites = [submission.site for fact in loaded.facts if (submission := getattr(fact, "submission", None)) is not None]
        if not sites:
            return None
        return Explained(sites[0], loaded.events[-1].recorded_at, recorded(loaded.facts))

    async def release(self, act: Act, document: str, reason: str, etag: str) -> None:
        """Let every held request of a document be routed, as far as the law allows. Raises `RoutingRefusal`."""

        async def decide() -> tuple[None, list[Append]]:
            loaded = await self._load(act.tenant, document)
            if etag and etag != str(loaded.state.version):
                raise Changed("etag")
            if not loaded.state.held():
                raise NotHeld("name")
            state, facts = loaded.state, list[Fact]()
            for request, known in loaded.state.held().items():
                circumstances = await self._circumstances(act.tenant, document, known)
                decided = DOCUMENT.decide(Release(request, reason, circumstances), state)
                facts += decided
                state = DOCUMENT.fold(decided, state)
            partition = loaded.events[0].partition
            events = tuple(act.event(document, fact, partition, loaded.state.version + number) for number, fact in enumerate(facts))
            work: list[Row] = [row for fact in facts for row in held_rows(act.tenant, "", fact)]
            return None, [Append(events=events, work=tuple(work))]

        await record(self._log, self._committed, decide)

    async def policy_of(self, tenant: str, site: str) -> EffectivePolicy | None:
        """The policy that decides for a site now."""
        scopes = scopes_in_force(self._sites, tenant, site)
        stored = await self._log.read_streams([(tenant, stream_of(scope)) for scope in scopes])
        states = [(scope, SCOPE.fold(decode(one.tag, one.payload) for one in stored[tenant, stream_of(scope)])) for scope in scopes]
        return effective(states)

    async def _circumstances(self, tenant: str, document: str, known: RequestState) -> Circumstances | None:
        opened = await self._open(tenant, document, known)
        if opened is None or known.submission is None:
            return None
        content, key = opened
        policy = await self.policy_of(tenant, known.submission.site)
        return Circumstances(content, day_of_sending(self._clock.now()), self._law, policy, destination_key_of(key))

    async def _open(self, tenant: str, document: str, known: RequestState) -> tuple[SealedContent, bytes] | None:
        submission = known.submission
        if submission is None:
            return None
        (subject,) = await self._keys.subjects([(tenant, UUID(submission.subject))])
        if subject is None:
            return None
        key = document_key(subject, document)
        try:
            return open_content(key, document, submission.sealed), key
        except SealBroken:
            return None

    async def _load(self, tenant: str, document: str) -> _Loaded:
        events = (await self._log.read_streams([(tenant, document)]))[tenant, document]
        facts = [decode(event.tag, event.payload) for event in events]
        return _Loaded(events, facts, DOCUMENT.fold(facts))
