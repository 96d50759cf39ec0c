"""From verified identities to plans: one batch, one look-up of keys, one of states and policies, one append.

The handler decides and returns; the consumer commits what it returns with its checkpoints. On a conflict it is called again and
loads everything anew; only what never changes (a policy's decoded versions) is remembered.
"""

import hmac
from collections.abc import Iterable, Sequence
from datetime import date
from uuid import UUID

import msgspec

from relais.clock import Clock
from relais.contracts import Fact, UnknownTag, decode, encode
from relais.contracts.identity import IdentityHeld, IdentityRejected, IdentityReleased, IdentityVerified
from relais.contracts.reasons import HoldReason
from relais.contracts.submission import InsStatus, SealedContent, Submission
from relais.eventlog.log import EventLog
from relais.eventlog.record import Append, NewEvent, StoredEvent
from relais.routing.domain.case import Law
from relais.routing.domain.commands import (
    Circumstances,
    Command,
    DocumentState,
    HoldUnreadable,
    NoteIdentityHeld,
    NoteRejected,
    Park,
    Route,
)
from relais.routing.domain.document import DOCUMENT
from relais.routing.domain.policy import SCOPE, EffectivePolicy, ScopeState, effective, scopes_of, stream_of
from relais.routing.held import held_rows
from relais.routing.law.age import day_of_sending
from relais.routing.ports import Sites
from relais.transport.bus import Announcement, BusUnavailable, Delivered
from relais.transport.handling import effect_id
from relais.vault.seal import document_key, open_content
from relais.vault.vault import KeyRing, SealBroken, SubjectKey

CONSUMER = "routing"
ACTOR = "service:routing"
SCOPES_CACHED_MAXIMUM = 10_000
SITE_WAIT_SECONDS = 30.0

_DESTINATION_KEY_PURPOSE = b"relais.destination-key.v1"


class Opened(msgspec.Struct, frozen=True):
    """One announcement with what could be read of it; `fact` is None where the fact itself is unreadable."""

    announcement: Announcement
    fact: IdentityVerified | IdentityReleased | IdentityHeld | IdentityRejected | None = None
    content: SealedContent | None = None
    destination_key: bytes = b""
    unreadable: HoldReason = HoldReason.FACT_UNREADABLE
    scopes: tuple[str, ...] = ()


class Policies:
    """The effective policy of a site, from the streams of its scopes; what was decoded once is not decoded again."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], ScopeState] = {}

    def effective(self, tenant: str, scopes: Sequence[str], stored: dict[tuple[str, str], list[StoredEvent]]) -> EffectivePolicy | None:
        """The policy that these scopes, narrowest first, make together."""
        return effective([(scope, self._state((tenant, stream_of(scope)), stored[tenant, stream_of(scope)])) for scope in scopes])

    def _state(self, key: tuple[str, str], events: Sequence[StoredEvent]) -> ScopeState:
        known = self._known.get(key)
        if known is None or known.version != len(events):
            known = SCOPE.fold(decode(event.tag, event.payload) for event in events)
            if len(self._known) >= SCOPES_CACHED_MAXIMUM:
                self._known.clear()
            self._known[key] = known
        return known


class RoutingHandler:
    """Routes every request whose identity was verified or released. Built once per replica."""

    def __init__(self, log: EventLog, keys: KeyRing, sites: Sites, law: Law, clock: Clock) -> None:
        self._log = log
        self._keys = keys
        self._sites = sites
        self._law = law
        self._clock = clock
        self._policies = Policies()
        self._unknown_since: dict[tuple[str, str], float] = {}

    async def handle(self, batch: Sequence[Delivered]) -> list[Append]:
        """The effects of a batch, in order; facts that say nothing to routing have none."""
        read = [one for delivered in batch if (one := _read(delivered.announcement)) is not None]
        if not read:
            return []
        opened = await self._open(read)
        stored = await self._log.read_streams(_streams_of(opened))
        return _Batch(self._law, day_of_sending(self._clock.now()), self._policies, stored).effects(opened)

    async def _open(self, read: Sequence[Opened]) -> list[Opened]:
        sealed = [(one.announcement.tenant, submission) for one in read if (submission := _sealed(one)) is not None]
        subjects = await self._keys.subjects([(tenant, UUID(submission.subject)) for tenant, submission in sealed])
        remaining = iter(subjects)
        return [one if (submission := _sealed(one)) is None else self._open_one(one, submission, next(remaining)) for one in read]

    def _open_one(self, one: Opened, submission: Submission, subject: SubjectKey | None) -> Opened:
        if subject is None:
            return Opened(one.announcement, one.fact, unreadable=HoldReason.SUBJECT_ERASED)
        key = document_key(subject, submission.document)
        try:
            content = open_content(key, submission.document, submission.sealed)
        except SealBroken:
            return Opened(one.announcement, one.fact)
        scopes = self._scopes(one.announcement.tenant, submission.site)
        return Opened(one.announcement, one.fact, content, destination_key_of(key), scopes=scopes)

    def _scopes(self, tenant: str, site: str) -> tuple[str, ...]:
        """The scopes that decide for a site.

        Ingestion took nothing in from a site that is not registered, so one that is unknown here was not read yet: wait for it, but
        not for ever. Raises `BusUnavailable`, which the consumer waits out.
        """
        scopes = scopes_in_force(self._sites, tenant, site)
        if scopes:
            return scopes
        now = self._clock.monotonic()
        if len(self._unknown_since) >= SCOPES_CACHED_MAXIMUM:
            self._unknown_since.clear()
        if now - self._unknown_since.setdefault((tenant, site), now) < SITE_WAIT_SECONDS:
            raise BusUnavailable("the registry was not read as far as this site")
        return ()


class _Batch:
    """The states a batch started from, folded forward as it is decided, and the facts that were decided."""

    def __init__(self, law: Law, day: date, policies: Policies, stored: dict[tuple[str, str], list[StoredEvent]]) -> None:
        self._law = law
        self._day = day
        self._policies = policies
        self._stored = stored
        self._documents: dict[tuple[str, str], DocumentState] = {}
        self._effective: dict[tuple[str, tuple[str, ...]], EffectivePolicy | None] = {}
        self._events: dict[tuple[str, str], list[NewEvent]] = {}
        self._work: dict[tuple[str, str], list[dict[str, object]]] = {}

    def effects(self, opened: Sequence[Opened]) -> list[Append]:
        for one in opened:
            self._take(one)
        return [Append(events=tuple(events), work=tuple(self._work.get(key, ()))) for key, events in self._events.items()]

    def _take(self, one: Opened) -> None:
        announcement = one.announcement
        key = (announcement.tenant, announcement.stream)
        state = self._documents.get(key)
        if state is None:
            state = DOCUMENT.fold(decode(event.tag, event.payload) for event in self._stored[key])
        for number, fact in enumerate(DOCUMENT.decide(self._command(one), state)):
            self._events.setdefault(key, []).append(_event(announcement, fact, number, state.version))
            self._work.setdefault(key, []).extend(held_rows(announcement.tenant, announcement.recorded_at, fact))
            state = DOCUMENT.evolve(state, fact)
        self._documents[key] = state

    def _command(self, one: Opened) -> Command:
        announcement, fact = one.announcement, one.fact
        match fact:
            case None:
                return Park(announcement.stream, announcement.log, announcement.position, announcement.tag)
            case IdentityHeld():
                return NoteIdentityHeld(fact.submission, fact.reasons)
            case IdentityRejected():
                return NoteRejected(fact.document, fact.request)
            case _:
                return self._route(one, fact.submission, fact.ins_status)

    def _route(self, one: Opened, submission: Submission, status: InsStatus) -> Command:
        if one.content is None:
            return HoldUnreadable(submission, status, one.unreadable)
        key = (one.announcement.tenant, one.scopes)
        if key not in self._effective:
            self._effective[key] = self._policies.effective(*key, self._stored)
        policy = self._effective[key]
        return Route(submission, status, Circumstances(one.content, self._day, self._law, policy, one.destination_key))


def scopes_in_force(sites: Sites, tenant: str, site: str) -> tuple[str, ...]:
    """The scopes that decide for a site; none for one that is unknown here, so that nobody's policy is taken for its own."""
    group = sites.group_of(tenant, site)
    return () if group is None else scopes_of(site, group)


def destination_key_of(key: bytes) -> bytes:
    """The key of the hashes that tell a destination again, made of the document's key: it dies with the subject's."""
    return hmac.digest(key, _DESTINATION_KEY_PURPOSE, "sha256")


def _event(announcement: Announcement, fact: Fact, number: int, version: int) -> NewEvent:
    return NewEvent(
        tenant=announcement.tenant,
        stream=announcement.stream,
        tag=fact.TAG,
        payload=encode(fact),
        event_id=effect_id(CONSUMER, announcement.log, announcement.position, number),
        partition=announcement.partition,
        actor=ACTOR,
        traceparent=announcement.traceparent,
        expected_version=version,
    )


def _read(announcement: Announcement) -> Opened | None:
    """The fact, where it says something to routing; None where it is known and does not."""
    try:
        fact = decode(announcement.tag, announcement.payload)
    except (UnknownTag, msgspec.DecodeError):
        return Opened(announcement)
    if isinstance(fact, IdentityVerified | IdentityReleased | IdentityHeld | IdentityRejected):
        return Opened(announcement, fact)
    return None


def _sealed(one: Opened) -> Submission | None:
    """The submission whose sealed content is needed."""
    return one.fact.submission if isinstance(one.fact, IdentityVerified | IdentityReleased) else None


def _streams_of(opened: Iterable[Opened]) -> list[tuple[str, str]]:
    wanted: dict[tuple[str, str], None] = {}
    for one in opened:
        tenant = one.announcement.tenant
        wanted[tenant, one.announcement.stream] = None
        wanted.update({(tenant, stream_of(scope)): None for scope in one.scopes})
    return list(wanted)
