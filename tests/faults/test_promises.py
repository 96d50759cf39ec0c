"""Attacks the promises' own checker: it must be content with what happened, and notice every kind of loss and repetition."""

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
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
    """A copy of everything the checker looks at, for one lie."""

    ledger: Ledger
    journal: Journal
    kept: dict[str, list[Kept]]

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
    events = evidence.journal.events["identity"]
    events[0] = replace(events[0], event_id=uuid4())


def decided_twice(evidence: Evidence) -> None:
    """One identity was verified twice."""
    evidence.journal.verified[evidence.request] *= 2


def planned_and_forgotten(evidence: Evidence) -> None:
    """A planned destination was never scheduled, though it has an outcome."""
    evidence.journal.scheduled.pop(next(iter(evidence.journal.scheduled)))


def without_outcome(evidence: Evidence) -> None:
    """One destination of a document has no outcome."""
    evidence.journal.succeeded.pop((evidence.ledger.sent[-1].document, 1))


def delivered_twice(evidence: Evidence) -> None:
    """A partner has a document under two keys."""
    effect = evidence.kept[PARTNER][0]
    evidence.kept[PARTNER].append(msgspec.structs.replace(effect, key=f"{effect.key}-again"))


def delivered_and_not_there(evidence: Evidence) -> None:
    """A success is recorded, and the partner has nothing."""
    evidence.kept[PARTNER].pop()


def delivered_to_somebody_else(evidence: Evidence) -> None:
    """A partner has a document that no plan names."""
    evidence.kept[PARTNER].append(msgspec.structs.replace(evidence.kept[PARTNER][0], document=str(uuid4())))


def changed(evidence: Evidence) -> None:
    """Other bytes arrived."""
    evidence.kept[PARTNER][0] = msgspec.structs.replace(evidence.kept[PARTNER][0], sha256="")


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
        evidence = copy.deepcopy(truth)
        lie(evidence)
        assert noticed(evidence), lie.__doc__


def noticed(evidence: Evidence) -> str:
    """What the checker says; empty when it is content."""
    try:
        require_promises(evidence.ledger, evidence.journal, evidence.kept)
    except AssertionError as violation:
        return str(violation) or "violated"
    return ""
