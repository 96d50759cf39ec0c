"""The desk for held documents: see them, see the evidence, release or reject. Independent of how it is called."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from uuid import UUID

from relais.contracts import Fact, decode
from relais.contracts.identity import IdentityHeld, IdentityReleased, LocalIdLinked
from relais.contracts.submission import InsStatus, SealedContent
from relais.eventlog.acts import Act, record
from relais.eventlog.log import EventLog
from relais.eventlog.record import Append, NewEvent, StoredEvent
from relais.identity.domain import links
from relais.identity.domain.document import DOCUMENT, DocumentState, Reject, Release, RequestState
from relais.identity.domain.errors import Changed, NotHeld
from relais.identity.domain.evidence import Side, sides_of
from relais.identity.domain.examination import Rules, examine
from relais.identity.domain.links import FREE, Link, Standing
from relais.identity.held import Row, held_rows
from relais.identity.ports import Insi
from relais.vault.seal import document_key, open_content
from relais.vault.vault import KeyRing, SealBroken, SubjectErased


class State(Enum):
    """Where the decision about a document stands."""

    HELD = "held"
    RELEASED = "released"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class HeldDocument:
    """A document that waits or waited for a person. `etag` changes with every fact about it."""

    tenant: str
    document: str
    state: State
    site: str
    type_code: str
    reasons: tuple[str, ...]
    fields: tuple[str, ...]
    held_at: datetime
    etag: str


@dataclass(frozen=True, slots=True)
class _Loaded:
    """A document's stream, folded."""

    events: Sequence[StoredEvent]
    state: DocumentState

    @property
    def etag(self) -> str:
        return str(self.state.version)


@dataclass(frozen=True, slots=True)
class _Readable:
    """One held request whose content opens: what is needed to judge it again."""

    content: SealedContent
    stream: str
    mark: bytes


class HeldDesk:
    """What a person may do about held documents. `committed` is called after each decision that was stored."""

    def __init__(self, log: EventLog, keys: KeyRing, insi: Insi, rules: Rules, committed: Callable[[], None]) -> None:
        self._log = log
        self._keys = keys
        self._insi = insi
        self._rules = rules
        self._committed = committed

    async def find(self, tenant: str, document: str) -> HeldDocument | None:
        """A document that is or was held; None for any other."""
        loaded = await self._load(tenant, document)
        held = [(event, fact) for event in loaded.events if isinstance(fact := decode(event.tag, event.payload), IdentityHeld)]
        if not held:
            return None
        waiting = loaded.state.held()
        event, fact = next(((event, fact) for event, fact in held if fact.submission.request in waiting), held[-1])
        return HeldDocument(
            tenant=tenant,
            document=document,
            state=State.HELD if waiting else State.REJECTED if loaded.state.rejected else State.RELEASED,
            site=fact.submission.site,
            type_code=fact.submission.type_code,
            reasons=tuple(reason.value for reason in fact.reasons),
            fields=fact.evidence,
            held_at=event.recorded_at,
            etag=loaded.etag,
        )

    async def evidence(self, tenant: str, document: str) -> tuple[Side, ...]:
        """What message and document say of the patient of the oldest held request. Raises `NotHeld`, `SubjectErased`, `SealBroken`."""
        loaded = await self._load(tenant, document)
        for known in loaded.state.held().values():
            return sides_of(await self._open(tenant, known))
        raise NotHeld("name")

    async def release(self, act: Act, document: str, status: InsStatus | None, reason: str, etag: str) -> None:
        """Release every held request of a document under this status (None: the highest that may be). Raises `IdentityRefusal`."""

        async def decide() -> tuple[None, list[Append]]:
            loaded = await self._load(act.tenant, document)
            _check(loaded, etag)
            held = loaded.state.held()
            readable = {request: await self._readable(act.tenant, known) for request, known in held.items()}
            streams = list({one.stream for one in readable.values() if one is not None and one.stream})
            stored = await self._log.read_streams([(act.tenant, stream) for stream in streams])
            known_links = {stream: _link(stored[act.tenant, stream]) for stream in streams}
            partition = loaded.events[0].partition
            facts: list[Fact] = []
            moved: dict[str, NewEvent] = {}
            for request, one in readable.items():
                released = await self._release(loaded.state, request, one, known_links, status, reason)
                facts.append(released)
                if one is not None and _moves(released, one, known_links):
                    link = known_links[one.stream]
                    linked = LocalIdLinked(ins=one.mark, document=document)
                    moved[one.stream] = act.event(one.stream, linked, partition, link.version)
            return None, [_append(act, document, facts, partition, loaded.state.version), *(Append((event,)) for event in moved.values())]

        await record(self._log, self._committed, decide)

    async def reject(self, act: Act, document: str, reason: str, etag: str) -> None:
        """Decide that a document goes nowhere. Raises `IdentityRefusal`."""

        async def decide() -> tuple[None, list[Append]]:
            loaded = await self._load(act.tenant, document)
            _check(loaded, etag)
            state, facts = loaded.state, list[Fact]()
            for request in loaded.state.held():
                decided = DOCUMENT.decide(Reject(request, reason), state)
                facts += decided
                state = DOCUMENT.fold(decided, state)
            return None, [_append(act, document, facts, loaded.events[0].partition, loaded.state.version)]

        await record(self._log, self._committed, decide)

    async def _release(
        self,
        state: DocumentState,
        request: str,
        one: _Readable | None,
        known_links: dict[str, Link],
        status: InsStatus | None,
        reason: str,
    ) -> Fact:
        examination = None
        if one is not None:
            (insi,) = await self._insi.ask([one.content.identity])
            link = known_links.get(one.stream, FREE)
            examination = examine(one.content, link, one.mark, insi, self._rules)
        (released,) = DOCUMENT.decide(Release(request, reason, examination, status), state)
        return released

    async def _readable(self, tenant: str, known: RequestState) -> _Readable | None:
        try:
            content = await self._open(tenant, known)
        except (SubjectErased, SealBroken):
            return None
        key = await self._keys.tenant_hmac(tenant, links.KEY_PURPOSE)
        site = known.submission.site if known.submission else ""
        stream = links.stream_of(key, site, content.identity)
        return _Readable(content, stream, links.mark_of(key, content.identity) if stream else b"")

    async def _open(self, tenant: str, known: RequestState) -> SealedContent:
        submission = known.submission
        if submission is None:
            raise SealBroken("no submission is known")
        (subject,) = await self._keys.subjects([(tenant, UUID(submission.subject))])
        if subject is None:
            raise SubjectErased
        return open_content(document_key(subject, submission.document), submission.document, submission.sealed)

    async def _load(self, tenant: str, document: str) -> _Loaded:
        events = (await self._log.read_streams([(tenant, document)]))[tenant, document]
        return _Loaded(events, DOCUMENT.fold(decode(event.tag, event.payload) for event in events))


def _check(loaded: _Loaded, etag: str) -> None:
    """Raise unless something is held, and is what the caller saw."""
    if etag and etag != loaded.etag:
        raise Changed("etag")
    if not loaded.state.held():
        raise NotHeld("name")


def _moves(released: Fact, one: _Readable, known_links: dict[str, Link]) -> bool:
    """Whether a release says that the local id is this person's from now on: only a qualified identity does."""
    qualified = isinstance(released, IdentityReleased) and released.ins_status is InsStatus.QUALIFIEE
    return qualified and bool(one.mark) and known_links[one.stream].standing(one.mark) is not Standing.ACTIVE


def _link(events: Sequence[StoredEvent]) -> Link:
    link = FREE
    for event in events:
        link = links.evolve(link, decode(event.tag, event.payload))
    return link


def _append(act: Act, document: str, facts: Sequence[Fact], partition: int, version: int) -> Append:
    events = tuple(act.event(document, fact, partition, version + number) for number, fact in enumerate(facts))
    work: list[Row] = [row for fact in facts for row in held_rows(act.tenant, "", fact)]
    return Append(events=events, work=tuple(work))
