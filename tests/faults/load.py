"""A steady load of documents over the bulk stream, by a sender who does what the contract says: whatever has no answer is sent again under
the same request_id, as often as it takes.
"""

import asyncio
import contextlib
import time
from collections import deque
from types import TracebackType
from typing import Final, Self

from relais.client.bulk import BulkStream
from relais.client.client import RelaisClient
from relais.client.document_records import Receipt
from relais.client.errors import ClientError, Unavailable
from tests.faults.ledger import Attempt, Ledger, Sent
from tests.faults.senders import Parcel

PER_SECOND: Final = 8.0
STREAMS: Final = 2
ANSWERS_SECONDS: Final = 60.0
LARGE_EVERY: Final = 25


class Load:
    """Sends from entering until leaving; leaving waits until everything that was sent has its answer."""

    def __init__(self, sender: RelaisClient, ledger: Ledger, *, per_second: float = PER_SECOND) -> None:
        self._sender = sender
        self._ledger = ledger
        self._seconds_between = STREAMS / per_second
        self._stop = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self.sent: list[Sent] = []

    async def __aenter__(self) -> Self:
        self._tasks = [asyncio.create_task(self._run()) for _ in range(STREAMS)]
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stop.set()
        try:
            if kind is None:
                async with asyncio.timeout(ANSWERS_SECONDS):
                    await asyncio.gather(*self._tasks)
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def acknowledged(self, since: float) -> bool:
        """Whether something that was first sent after that moment has its receipt."""
        return any(sent.first_at > since and sent.receipt is not None for sent in self.sent)

    async def _run(self) -> None:
        again: deque[tuple[Sent, Parcel]] = deque()
        while not self._stop.is_set() or again:
            answers: set[asyncio.Task[None]] = set()
            # When the stream gives up, what it leaves without an answer waits in `again` for the next one.
            with contextlib.suppress(Unavailable):
                async with self._sender.documents.bulk() as bulk:
                    await self._feed(bulk, answers, again)
            await asyncio.gather(*answers)

    async def _feed(self, bulk: BulkStream, answers: set[asyncio.Task[None]], again: deque[tuple[Sent, Parcel]]) -> None:
        next_at = time.monotonic()
        while not self._stop.is_set() or again:
            if again:
                sent, parcel = again.popleft()
            else:
                sent, parcel = self._ledger.new(large=len(self.sent) % LARGE_EVERY == LARGE_EVERY - 1)
                self.sent.append(sent)
            attempt = self._ledger.begin(sent)
            try:
                answer = await bulk.send(parcel.submission, parcel.body)
            except BaseException:
                again.append((sent, parcel))
                raise
            answers.add(asyncio.create_task(self._wait(sent, parcel, attempt, answer, again)))
            next_at += self._seconds_between
            await self._pause(next_at - time.monotonic())

    async def _wait(
        self, sent: Sent, parcel: Parcel, attempt: Attempt, answer: "asyncio.Future[Receipt]", again: deque[tuple[Sent, Parcel]]
    ) -> None:
        await asyncio.wait({answer})
        if answer.cancelled() or isinstance(error := answer.exception(), Unavailable):
            again.append((sent, parcel))
        elif isinstance(error, ClientError):
            sent.refusal = error
        else:
            self._ledger.acknowledged(sent, attempt, answer.result())

    async def _pause(self, seconds: float) -> None:
        """Keep the pace, unless it is over."""
        if seconds > 0:
            try:
                await asyncio.wait_for(self._stop.wait(), seconds)
            except TimeoutError:
                return
