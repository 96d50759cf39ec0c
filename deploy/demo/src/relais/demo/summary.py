"""What a demonstration found out, as data: for the story that people read, for `--json`, and for the exit status."""

import base64
from collections import Counter, defaultdict
from collections.abc import Mapping

import msgspec

from relais.client.client import RelaisClient
from relais.client.document_records import Document
from relais.client.words import id_of
from relais.demo.outside import Arrivals, OutsideWorld
from relais.demo.road import Trip


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """A reason for which documents wait for a person: how many do, at which service, and one of them."""

    by: str
    reason: str
    documents: int
    example: str


class Partner(msgspec.Struct, frozen=True, kw_only=True):
    """What one destination was sent and what it says it has. `identical`: every byte of every document is as it was sent."""

    endpoint: str
    planned: int
    delivered: int
    abandoned: int
    retried: int
    arrived: int
    arrived_again: int
    identical: bool
    believed: bool


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """The whole run. `problems` is empty when everything went as it should, in words otherwise; seconds are of this run."""

    documents: int
    receipts: int
    known_already: int
    refused: dict[str, str]
    states: dict[str, int]
    partners: list[Partner]
    suppressed: dict[str, int]
    held: list[Held]
    timeline: Document | None
    seconds_to_start: float
    seconds_to_acknowledge: float
    seconds_to_carry: float
    problems: list[str]


async def summarise(operator: RelaisClient, outside: OutsideWorld, trip: Trip, seconds_to_start: float) -> Summary:
    """Ask the platform and the partners what became of this run, and compare the two with what was meant."""
    arrivals = await outside.arrivals(_sent(trip))
    partners = _partners(trip, arrivals)
    acknowledged, ended = trip.acknowledged_at or trip.began_at, trip.ended_at or trip.began_at
    return Summary(
        documents=len(trip.parcels),
        receipts=len(trip.receipts),
        known_already=trip.repeats,
        refused={name: error.reason or error.explanation.code for name, error in trip.refusals.items()},
        states=dict(trip.tally.count()),
        partners=partners,
        suppressed=dict(Counter(reason for journey in trip.tally.journeys.values() for _, reason in journey.suppressed)),
        held=_held(trip),
        timeline=await _one_timeline(operator, trip),
        seconds_to_start=round(seconds_to_start, 2),
        seconds_to_acknowledge=round((acknowledged - trip.began_at).total_seconds(), 2),
        seconds_to_carry=round((ended - trip.began_at).total_seconds(), 2),
        problems=_problems(trip, partners),
    )


def _sent(trip: Trip) -> dict[str, str]:
    """For each document that this run was first to send, the SHA-256 of the bytes as its receipt names them."""
    fresh = (receipt for receipt in trip.receipts.values() if not receipt.duplicate)
    return {id_of(receipt.document): base64.b64encode(bytes.fromhex(receipt.sha256)).decode() for receipt in fresh}


def _partners(trip: Trip, arrivals: Mapping[str, Arrivals]) -> list[Partner]:
    deliveries = trip.tally.destinations()
    retried: Counter[str] = Counter()
    for journey in trip.tally.journeys.values():
        for ordinal, endpoint in journey.endpoints.items():
            retried[endpoint] += ordinal in journey.deferred
    found = []
    for endpoint, arrived in arrivals.items():
        counts = deliveries.get(endpoint, Counter())
        found.append(
            Partner(
                endpoint=endpoint,
                planned=counts.total(),
                delivered=counts["succeeded"],
                abandoned=counts["abandoned"],
                retried=retried[endpoint],
                arrived=arrived.documents,
                arrived_again=arrived.again,
                identical=not arrived.differing,
                believed=not arrived.disbelieved,
            )
        )
    return found


def _held(trip: Trip) -> list[Held]:
    examples: dict[tuple[str, str], list[str]] = defaultdict(list)
    for document, journey in trip.tally.journeys.items():
        by = "identity" if journey.identity == "held" else "routing"
        for reason in journey.reasons if journey.state == "HELD" else ():
            examples[by, reason].append(document)
    found = [Held(by=by, reason=reason, documents=len(all_), example=all_[0]) for (by, reason), all_ in examples.items()]
    return sorted(found, key=lambda held: (held.by, -held.documents, held.reason))


async def _one_timeline(operator: RelaisClient, trip: Trip) -> Document | None:
    """The document with the most to tell: tried again if there is one, else carried to the most destinations."""
    carried = [(document, journey) for document, journey in trip.tally.journeys.items() if journey.state == "DONE"]
    if not carried:
        return None
    document, _ = max(carried, key=lambda pair: (bool(pair[1].deferred), len(pair[1].endpoints), pair[0]))
    return await operator.documents.get(document)


def _problems(trip: Trip, partners: list[Partner]) -> list[str]:
    """What did not go as this demonstration means it to, in English; a document by its position, never by its patient."""
    problems = [f"{name} was refused: {error.reason or error.explanation.code}" for name, error in trip.refusals.items()]
    problems += [f"{journey.state}: a document is still under way" for journey in trip.tally.unsettled()]
    if not trip.settled and not problems:
        problems.append("not every document that was taken in was seen in the logs")
    by_request = {journey.request: journey for journey in trip.tally.journeys.values()}
    for parcel in trip.parcels:
        journey = by_request.get(parcel.submission.request_id)
        if parcel.held_for and journey is not None and parcel.held_for not in journey.reasons:
            problems.append(f"{parcel.name} was not held for {parcel.held_for}")
    for partner in partners:
        if partner.arrived < partner.delivered:
            problems.append(f"{partner.endpoint} says it has {partner.arrived} documents, {partner.delivered} are recorded as delivered")
        if not partner.identical:
            problems.append(f"{partner.endpoint} has a document that is not byte for byte what was sent")
    return problems
