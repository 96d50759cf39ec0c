"""Attacks the promises' own checker: it must be content with what happened, and notice every kind of loss and repetition."""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from uuid import uuid4

import msgspec
import pytest

from tests.faults.journal import Journal
from tests.faults.ledger import Ledger
from tests.faults.outside import Kept
from tests.faults.promises import require_promises
from tests.faults.scene import Scene
from tests.faults.senders import PARTNERS

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]

PARTNER = PARTNERS["DMP"]


@dataclass
class Evidence:
    """Everything the checker looks at."""

    ledger: Ledger
    journal: Journal
    kept: dict[str, list[Kept]]

    def copied(self) -> "Evidence":
        """For one lie, which replaces what it changes: the dictionaries are copied, what is in them is shared."""
        journal = copy.copy(self.journal)
        for name, value in vars(journal).items():
            setattr(journal, name, copy.copy(value))
        return Evidence(self.ledger, journal, dict(self.kept))

    @property
    def request(self) -> str:
        """A request that was acknowledged."""
        return self.ledger.sent[-1].request_id


def lost(evidence: Evidence) -> None:
    """An acknowledged document is in no log."""
    evidence.journal.received.pop(evidence.request)


def lost_at_the_end(evidence: Evidence) -> None:
    """The log ends before the last fact that was acknowledged."""
    last = max(event.position for event in evidence.journal.events["ingestion"] if str(event.event_id) == evidence.ledger.sent[-1].event_id)
    evidence.journal.events["ingestion"] = evidence.journal.events["ingestion"][: last - 1]


def forked(evidence: Evidence) -> None:
    """Another fact stands where an auditor saw one."""
    first, *rest = evidence.journal.events["identity"]
    evidence.journal.events["identity"] = [msgspec.structs.replace(first, event_id=uuid4()), *rest]


def decided_twice(evidence: Evidence) -> None:
    """One identity was verified twice."""
    evidence.journal.verified[evidence.request] = 2 * evidence.journal.verified[evidence.request]


def planned_and_forgotten(evidence: Evidence) -> None:
    """A planned destination was never scheduled, though it has an outcome."""
    evidence.journal.scheduled.pop(next(iter(evidence.journal.scheduled)))


def without_outcome(evidence: Evidence) -> None:
    """One destination of a document has no outcome."""
    evidence.journal.succeeded.pop((evidence.ledger.sent[-1].document, 1))


def delivered_twice(evidence: Evidence) -> None:
    """A partner has a document under two keys."""
    effects = evidence.kept[PARTNER]
    evidence.kept[PARTNER] = [*effects, msgspec.structs.replace(effects[0], key=f"{effects[0].key}-again")]


def delivered_and_not_there(evidence: Evidence) -> None:
    """A success is recorded, and the partner has nothing."""
    evidence.kept[PARTNER] = evidence.kept[PARTNER][:-1]


def delivered_to_somebody_else(evidence: Evidence) -> None:
    """A partner has a document that no plan names."""
    effects = evidence.kept[PARTNER]
    evidence.kept[PARTNER] = [*effects, msgspec.structs.replace(effects[0], document=str(uuid4()))]


def changed(evidence: Evidence) -> None:
    """Other bytes arrived."""
    first, *rest = evidence.kept[PARTNER]
    evidence.kept[PARTNER] = [msgspec.structs.replace(first, sha256=""), *rest]


LIES: tuple[Callable[[Evidence], None], ...] = (
    lost,
    lost_at_the_end,
    forked,
    decided_twice,
    planned_and_forgotten,
    without_outcome,
    delivered_twice,
    delivered_and_not_there,
    delivered_to_somebody_else,
    changed,
)


async def test_every_lie_about_a_run_is_noticed(scene: Scene) -> None:
    async with scene.under_load("none") as round_:
        round_.struck()
    truth = Evidence(scene.ledger, scene.journal, await scene.evidence())
    assert noticed(truth) == ""
    for lie in LIES:
        evidence = truth.copied()
        lie(evidence)
        assert noticed(evidence), lie.__doc__


def noticed(evidence: Evidence) -> str:
    """What the checker says; empty when it is content."""
    try:
        require_promises(evidence.ledger, evidence.journal, evidence.kept)
    except AssertionError as violation:
        return str(violation) or "violated"
    return ""
