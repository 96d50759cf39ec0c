"""What must hold after every fault, whatever it was: the history checker's invariants over all logs, and what partners and senders see."""

from collections.abc import Mapping, Sequence
from itertools import chain

from relais.testing.history import Inbox, check
from tests.faults.journal import Journal
from tests.faults.ledger import Ledger, Sent
from tests.faults.outside import Kept
from tests.faults.senders import PARTNERS


def require_promises(ledger: Ledger, journal: Journal, kept: Mapping[str, Sequence[Kept]]) -> None:
    """Everything at once; call it when all that was sent is settled. Raises AssertionError with the first things that do not hold."""
    refused = [(sent.number, sent.refusal.reason) for sent in ledger.sent if sent.refusal is not None]
    assert not refused, "documents that are in order were refused"
    assert not [sent.number for sent in ledger.sent if sent.receipt is None], "a sender who repeats gets its receipt in the end"
    assert not journal.parked, "nothing is too odd to be handled"
    _require_receipts(ledger, journal)
    _require_history(ledger, journal, kept)
    _require_bytes(ledger, kept)


def _require_receipts(ledger: Ledger, journal: Journal) -> None:
    """One request has one receipt, however often it was sent, and every document has an outcome."""
    for sent in ledger.sent:
        receipts = {(one.receipt.document, one.receipt.tenant_sequence) for one in sent.attempts if one.receipt is not None}
        assert len(receipts) == 1, f"document {sent.number} has several receipts"
        assert sent.request_id in journal.received, f"document {sent.number} was acknowledged and is lost"
        assert journal.received[sent.request_id].submission.document == sent.document
        assert journal.settled(sent.document, sent.request_id), f"document {sent.number} has no outcome and waits for nobody"


def _require_history(ledger: Ledger, journal: Journal, kept: Mapping[str, Sequence[Kept]]) -> None:
    """Invariants a to g. Each hop is a consumer whose inbox is what the hop before asked for, each thing once."""
    history = ledger.history(journal.events["ingestion"])
    for request, verified in journal.verified.items():
        for _ in verified:
            history.effect("identity", request)
    for request, plans in journal.planned.items():
        for _ in plans:
            history.effect("routing", request)
    for place, count in journal.scheduled.items():
        for _ in range(count):
            history.effect("schedules", str(place))
    for place in chain(journal.succeeded, journal.abandoned):
        for _ in chain(journal.succeeded.get(place, ()), journal.abandoned.get(place, ())):
            history.effect("outcomes", str(place))
    inboxes = [
        Inbox("identity", frozenset(journal.received) - {request for request, tag in journal.waiting.items() if tag == "identity.held.v1"}),
        Inbox("routing", frozenset(journal.verified) - journal.waiting.keys()),
        Inbox("schedules", frozenset(str(place) for place in _planned(journal))),
        Inbox("outcomes", frozenset(str(place) for place in journal.scheduled)),
    ]
    for partner in PARTNERS.values():
        for effect in kept[partner]:
            history.effect(partner, effect.document)
        inboxes.append(Inbox(partner, _must_have(journal, partner, {effect.document for effect in kept[partner]})))
    check(history, journal.content(), inboxes).require()


def _planned(journal: Journal) -> set[tuple[str, int]]:
    return {
        (journal.received[request].submission.document, planned.ordinal)
        for request, plans in journal.planned.items()
        for planned in plans[0]
    }


def _must_have(journal: Journal, partner: str, has: set[str]) -> frozenset[str]:
    """The documents that a partner must have: those that were delivered, and of those that were given up the ones it took all the same."""
    delivered = {document for (document, ordinal) in journal.succeeded if journal.endpoint_of[document, ordinal] == partner}
    given_up = {document for (document, ordinal) in journal.abandoned if journal.endpoint_of[document, ordinal] == partner}
    return frozenset(delivered | (given_up & has))


def _require_bytes(ledger: Ledger, kept: Mapping[str, Sequence[Kept]]) -> None:
    """What arrived is byte for byte what was sent."""
    sent: dict[str, Sent] = {one.document: one for one in ledger.sent}
    for partner, effects in kept.items():
        for effect in effects:
            assert effect.document in sent, f"{partner} has a document that nobody sent"
            assert effect.sha256 == sent[effect.document].sha256, f"{partner} has other bytes of document {sent[effect.document].number}"
