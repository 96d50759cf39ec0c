"""From received documents to verified or held ones: one batch, one look-up of keys, one of states, one append.

The handler decides and returns; the consumer commits what it returns with its checkpoints. On a conflict it is called again and
loads everything anew, so nothing here remembers a batch.
"""

import asyncio
from collections.abc import Sequence
from uuid import UUID

import msgspec

from relais.contracts import Fact, UnknownTag, decode, encode
from relais.contracts.identity import IdentityVerified, LocalIdLinked
from relais.contracts.ingestion import DistributionRequested, DocumentReceived
from relais.contracts.reasons import HoldReason
from relais.contracts.submission import SealedContent, Submission
from relais.eventlog.log import EventLog
from relais.eventlog.record import Append, NewEvent, StoredEvent
from relais.identity.domain import links
from relais.identity.domain.document import DOCUMENT, Command, DocumentState, HoldUnreadable, Park, Verify
from relais.identity.domain.examination import NOT_ASKED, InsiAnswer, Rules, examine
from relais.identity.domain.links import FREE, Link, Standing
from relais.identity.held import held_rows
from relais.identity.ports import Insi
from relais.transport.bus import Announcement, Delivered
from relais.transport.handling import effect_id
from relais.vault.seal import document_key, open_content
from relais.vault.vault import KeyRing, SealBroken, SubjectKey

CONSUMER = "identity"
ACTOR = "service:identity"


class Opened(msgspec.Struct, frozen=True):
    """One announcement with what could be read of it. Without `submission` the fact itself is unreadable."""

    announcement: Announcement
    submission: Submission | None = None
    content: SealedContent | None = None
    unreadable: HoldReason = HoldReason.FACT_UNREADABLE
    link: str = ""
    mark: bytes = b""
    insi: InsiAnswer = NOT_ASKED


class IdentityHandler:
    """Verifies every received document and every later request on it. Built once per replica."""

    def __init__(self, log: EventLog, keys: KeyRing, insi: Insi, rules: Rules) -> None:
        self._log = log
        self._keys = keys
        self._insi = insi
        self._rules = rules
        self._link_keys: dict[str, bytes] = {}

    async def handle(self, batch: Sequence[Delivered]) -> list[Append]:
        """The effects of a batch, in order; facts that are not about a submission have none."""
        read = [one for delivered in batch if (one := _read(delivered.announcement)) is not None]
        if not read:
            return []
        opened = await self._ask(await self._open(read))
        stored = await self._log.read_streams(_streams_of(opened))
        return _Batch(self._rules, stored).effects(opened)

    async def _open(self, read: Sequence[Opened]) -> list[Opened]:
        submissions = [(one.announcement.tenant, one.submission) for one in read if one.submission is not None]
        wanted = [(tenant, UUID(submission.subject)) for tenant, submission in submissions]
        subjects, _ = await asyncio.gather(self._keys.subjects(wanted), self._learn_link_keys({tenant for tenant, _ in submissions}))
        remaining = iter(subjects)
        return [one if one.submission is None else self._open_one(one, one.submission, next(remaining)) for one in read]

    async def _learn_link_keys(self, tenants: set[str]) -> None:
        # A tenant's key for one purpose never changes, and there are as many as tenants.
        for tenant in tenants - self._link_keys.keys():
            self._link_keys[tenant] = await self._keys.tenant_hmac(tenant, links.KEY_PURPOSE)

    def _open_one(self, one: Opened, submission: Submission, subject: SubjectKey | None) -> Opened:
        announcement = one.announcement
        if subject is None:
            return Opened(announcement, submission, unreadable=HoldReason.SUBJECT_ERASED)
        try:
            content = open_content(document_key(subject, submission.document), submission.document, submission.sealed)
        except SealBroken:
            return Opened(announcement, submission)
        key = self._link_keys[announcement.tenant]
        link = links.stream_of(key, submission.site, content.identity)
        return Opened(announcement, submission, content, link=link, mark=links.mark_of(key, content.identity) if link else b"")

    async def _ask(self, opened: Sequence[Opened]) -> list[Opened]:
        readable = [one.content.identity for one in opened if one.content is not None]
        answers = iter(await self._insi.ask(readable))
        return [_with_answer(one, next(answers)) if one.content is not None else one for one in opened]


class _Batch:
    """The states a batch started from, folded forward as it is decided, and the facts that were decided."""

    def __init__(self, rules: Rules, stored: dict[tuple[str, str], list[StoredEvent]]) -> None:
        self._rules = rules
        self._documents: dict[tuple[str, str], DocumentState] = {}
        self._links: dict[tuple[str, str], Link] = {}
        self._events: dict[tuple[str, str], list[NewEvent]] = {}
        self._work: dict[tuple[str, str], list[dict[str, object]]] = {}
        for key, events in stored.items():
            facts = [decode(event.tag, event.payload) for event in events]
            if key[1].startswith(links.STREAM_PREFIX):
                self._links[key] = fold_link(facts)
            else:
                self._documents[key] = DOCUMENT.fold(facts)

    def effects(self, opened: Sequence[Opened]) -> list[Append]:
        for one in opened:
            self._take(one)
        return [Append(events=tuple(events), work=tuple(self._work.get(key, ()))) for key, events in self._events.items()]

    def _take(self, one: Opened) -> None:
        announcement = one.announcement
        document = (announcement.tenant, announcement.stream)
        link = (announcement.tenant, one.link)
        facts = list(DOCUMENT.decide(self._command(one, self._links.get(link, FREE)), self._documents[document]))
        for number, fact in enumerate(facts):
            self._record(one, document, fact, number, self._documents[document].version)
            self._documents[document] = DOCUMENT.evolve(self._documents[document], fact)
            if isinstance(fact, IdentityVerified) and one.mark and self._links[link].standing(one.mark) is Standing.FREE:
                linked = LocalIdLinked(ins=one.mark, document=announcement.stream)
                self._record(one, link, linked, len(facts), self._links[link].version)
                self._links[link] = links.evolve(self._links[link], linked)

    def _command(self, one: Opened, link: Link) -> Command:
        announcement = one.announcement
        if one.submission is None:
            return Park(announcement.stream, announcement.log, announcement.position, announcement.tag)
        if one.content is None:
            return HoldUnreadable(one.submission, one.unreadable)
        return Verify(one.submission, examine(one.content, link, one.mark, one.insi, self._rules), one.insi)

    def _record(self, one: Opened, key: tuple[str, str], fact: Fact, number: int, version: int) -> None:
        announcement = one.announcement
        event = NewEvent(
            tenant=key[0],
            stream=key[1],
            tag=fact.TAG,
            payload=encode(fact),
            event_id=effect_id(CONSUMER, announcement.log, announcement.position, number),
            partition=announcement.partition,
            actor=ACTOR,
            traceparent=announcement.traceparent,
            expected_version=version,
        )
        self._events.setdefault(key, []).append(event)
        self._work.setdefault(key, []).extend(held_rows(key[0], announcement.recorded_at, fact))


def fold_link(facts: Sequence[Fact]) -> Link:
    """The link after these facts of its stream."""
    link = FREE
    for fact in facts:
        link = links.evolve(link, fact)
    return link


def _read(announcement: Announcement) -> Opened | None:
    """The submission that a fact carries; None when the fact is known and carries none."""
    try:
        fact = decode(announcement.tag, announcement.payload)
    except (UnknownTag, msgspec.DecodeError):
        return Opened(announcement)
    if isinstance(fact, DocumentReceived | DistributionRequested):
        return Opened(announcement, fact.submission)
    return None


def _streams_of(opened: Sequence[Opened]) -> list[tuple[str, str]]:
    documents = [(one.announcement.tenant, one.announcement.stream) for one in opened]
    wanted = [*documents, *((one.announcement.tenant, one.link) for one in opened if one.link)]
    return list(dict.fromkeys(wanted))


def _with_answer(one: Opened, answer: InsiAnswer) -> Opened:
    return Opened(one.announcement, one.submission, one.content, link=one.link, mark=one.mark, insi=answer)
