"""The road: documents go in over one bulk stream, and the four logs are followed until nothing more happens by itself."""

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from relais.client.audit import CaughtUp, Event, Question
from relais.client.client import RelaisClient
from relais.client.document_records import Receipt
from relais.client.errors import ClientError
from relais.demo.cast import Parcel
from relais.demo.tally import Tally

LOGS: Final = ("ingestion", "identity", "routing", "delivery")
_NO_SUCH_TAG: Final = ("demo.nothing.v1",)
SETTLE_TIMEOUT_SECONDS: Final = 90.0


@dataclass
class Trip:
    """One run: what was sent, what was answered, what the logs have said since."""

    parcels: Sequence[Parcel]
    tally: Tally
    began_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    receipts: dict[str, Receipt] = field(default_factory=dict)
    refusals: dict[str, ClientError] = field(default_factory=dict)
    acknowledged_at: datetime | None = None
    ended_at: datetime | None = None
    news: asyncio.Event = field(default_factory=asyncio.Event)

    @classmethod
    def of(cls, parcels: Sequence[Parcel]) -> "Trip":
        """A trip that has not begun."""
        return cls(parcels, Tally(parcel.submission.request_id for parcel in parcels))

    @property
    def repeats(self) -> int:
        """Documents that an earlier run sent already: they got their first receipt again, and nothing else happened."""
        return sum(receipt.duplicate for receipt in self.receipts.values())

    @property
    def settled(self) -> bool:
        """Whether every document that was taken in has found its place, or its person to wait for."""
        answered = len(self.receipts) + len(self.refusals) == len(self.parcels)
        known = len(self.tally.journeys) == len(self.receipts) - self.repeats
        return answered and known and self.tally.settled == len(self.tally.journeys)


async def travel(operator: RelaisClient, sender: RelaisClient, trip: Trip) -> None:
    """Send everything and follow it. Returns when all is settled, or after `SETTLE_TIMEOUT_SECONDS` without that."""
    starts = await asyncio.gather(*(_end_of(operator, log) for log in LOGS))
    trip.began_at = datetime.now(UTC)
    followers = [asyncio.create_task(_follow(operator, log, start + 1, trip)) for log, start in zip(LOGS, starts, strict=True)]
    for follower in followers:
        follower.add_done_callback(lambda _: trip.news.set())
    try:
        await _send(sender, trip)
        trip.acknowledged_at = datetime.now(UTC)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SETTLE_TIMEOUT_SECONDS):
                while not trip.settled and not any(follower.done() for follower in followers):
                    trip.news.clear()
                    await trip.news.wait()
        trip.ended_at = datetime.now(UTC)
    finally:
        for follower in followers:
            follower.cancel()
        outcomes = await asyncio.gather(*followers, return_exceptions=True)
    for outcome in outcomes:
        if isinstance(outcome, ClientError):
            raise outcome


async def _send(sender: RelaisClient, trip: Trip) -> None:
    async def answered(parcel: Parcel, answer: "asyncio.Future[Receipt]") -> None:
        try:
            trip.receipts[parcel.name] = await answer
        except ClientError as refusal:
            trip.refusals[parcel.name] = refusal
        trip.news.set()

    async with sender.documents.bulk() as bulk, asyncio.TaskGroup() as group:
        for parcel in trip.parcels:
            group.create_task(answered(parcel, await bulk.send(parcel.submission, parcel.body)))


async def _follow(operator: RelaisClient, log: str, position: int, trip: Trip) -> None:
    async for frame in operator.audit(log).read(Question(from_position=position, follow=True)):
        if isinstance(frame, Event):
            trip.tally.see(frame)
            trip.news.set()


async def _end_of(operator: RelaisClient, log: str) -> int:
    """The log's present end: asked with a tag that no fact has, so that nothing is read."""
    async for frame in operator.audit(log).read(Question(tags=_NO_SUCH_TAG)):
        if isinstance(frame, CaughtUp):
            return frame.position
    return 0
