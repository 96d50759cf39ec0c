"""What became of each document so far, folded from the facts of four logs in whatever order they come. Pure: events in, numbers out."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import msgspec

from relais.client.audit import Event

_FINAL: Final = frozenset({"succeeded", "abandoned"})
_OUTCOMES: Final = {
    "delivery.succeeded.v1": "succeeded",
    "delivery.abandoned.v1": "abandoned",
    "delivery.deferred.v1": "deferred",
    "delivery.accepted.v1": "accepted",
}


@dataclass(slots=True)
class Journey:
    """One document: what identity and routing said, what was planned, and how far each destination is, by ordinal."""

    request: str
    received_at: datetime | None = None
    identity: str = ""
    routing: str = ""
    reasons: tuple[str, ...] = ()
    suppressed: list[tuple[str, str]] = field(default_factory=list)
    endpoints: dict[int, str] = field(default_factory=dict)
    outcomes: dict[int, str] = field(default_factory=dict)
    deferred: set[int] = field(default_factory=set)

    @property
    def state(self) -> str:
        """RECEIVED, VERIFIED, HELD, DELIVERING, WAITING or DONE, as the platform itself would say."""
        if "held" in (self.identity, self.routing):
            return "HELD"
        if not self.routing:
            return "VERIFIED" if self.identity else "RECEIVED"
        if "deferred" in self.outcomes.values():
            return "WAITING"
        return "DONE" if self._carried else "DELIVERING"

    @property
    def settled(self) -> bool:
        """Nothing more will happen by itself: it waits for a person, or every planned destination has its outcome."""
        return self.state in ("DONE", "HELD") and self._carried

    @property
    def _carried(self) -> bool:
        return all(self.outcomes.get(ordinal) in _FINAL for ordinal in self.endpoints)


class Tally:
    """Journeys by document. Events about anything else than these requests are passed over."""

    def __init__(self, requests: Iterable[str]) -> None:
        self._requests = set(requests)
        self._early: dict[str, list[Event]] = {}
        self._seen: set[tuple[str, int]] = set()
        self._under_way: set[str] = set()
        self.journeys: dict[str, Journey] = {}
        self.delivered_at: list[datetime] = []

    def see(self, event: Event) -> None:
        """Take one event into account, once."""
        if (event.log, event.position) in self._seen or event.stream.startswith("access/"):
            return
        self._seen.add((event.log, event.position))
        document = event.stream.partition("/")[0]
        if event.log == "ingestion":
            self._received(document, event)
        elif document in self.journeys:
            self._fold(document, event)
        else:
            # The logs are read side by side: a document's later facts may come before its first one.
            self._early.setdefault(document, []).append(event)

    def count(self) -> Counter[str]:
        """How many documents are in each state."""
        return Counter(journey.state for journey in self.journeys.values())

    def destinations(self) -> dict[str, Counter[str]]:
        """For each endpoint how many deliveries are planned, and how many have each outcome."""
        found: dict[str, Counter[str]] = {}
        for journey in self.journeys.values():
            for ordinal, endpoint in journey.endpoints.items():
                found.setdefault(endpoint, Counter())[journey.outcomes.get(ordinal, "planned")] += 1
        return found

    def unsettled(self) -> Iterator[Journey]:
        """The documents that are still on their way."""
        return (self.journeys[document] for document in self._under_way)

    @property
    def settled(self) -> int:
        """How many documents are where nothing more happens by itself."""
        return len(self.journeys) - len(self._under_way)

    def delivered_since(self, moment: datetime) -> int:
        """How many deliveries succeeded since then."""
        return sum(1 for at in reversed(self.delivered_at) if at >= moment)

    def _received(self, document: str, event: Event) -> None:
        said = _content(event)
        request = str(said.get("submission", {}).get("request", ""))
        if request not in self._requests:
            return
        self.journeys.setdefault(document, Journey(request)).received_at = event.recorded_at
        self._under_way.add(document)
        for early in self._early.pop(document, []):
            self._fold(document, early)

    def _fold(self, document: str, event: Event) -> None:
        journey, said = self.journeys[document], _content(event)
        match event.tag:
            case "identity.verified.v1" | "identity.released.v1":
                journey.identity = "verified"
            case "identity.held.v1":
                journey.identity, journey.reasons = "held", tuple(said["reasons"])
            case "routing.document_held.v1":
                journey.routing, journey.reasons = "held", tuple(said["reasons"])
            case "routing.planned.v1":
                journey.routing = journey.routing or "planned"
                journey.endpoints.update({int(one["ordinal"]): str(one["endpoint"]) for one in said["destinations"]})
            case "routing.suppressed.v1":
                journey.suppressed += [(str(one["kind"]), str(one["reason"])) for one in said["suppressed"]]
            case tag if tag in _OUTCOMES:
                self._delivery(journey, int(said["ordinal"]), _OUTCOMES[tag], event)
            case _:
                return
        if journey.settled:
            self._under_way.discard(document)
        else:
            self._under_way.add(document)

    def _delivery(self, journey: Journey, ordinal: int, outcome: str, event: Event) -> None:
        journey.outcomes[ordinal] = outcome
        if outcome == "deferred":
            journey.deferred.add(ordinal)
        if outcome == "succeeded" and event.recorded_at is not None:
            self.delivered_at.append(event.recorded_at)


def _content(event: Event) -> dict[str, Any]:
    return msgspec.json.decode(event.payload, type=dict[str, Any])
