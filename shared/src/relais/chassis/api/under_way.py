"""The calls under way, so that a process that stops can end them in good order instead of cutting them."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from relais.api.access.v1.error_reason_pb2 import ErrorReason
from relais.chassis.api.errors import ApiError


class CallsUnderWay:
    """Counts the calls and knows the task of every stream.

    Stopping has two phases: `draining`, when streams end and unary calls are still answered, and `closed`, when nothing new
    is. A call that is refused in either is told DRAINING and may be made again elsewhere.
    """

    def __init__(self) -> None:
        self.draining = False
        self.closed = False
        self._count = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._streams: set[asyncio.Task[object]] = set()
        self._ended: set[asyncio.Task[object]] = set()

    def begin(self) -> None:
        """A call begins."""
        self._count += 1
        self._idle.clear()

    def end(self) -> None:
        """A call has its answer."""
        self._count -= 1
        if self._count == 0:
            self._idle.set()

    @contextmanager
    def stream(self) -> Iterator[None]:
        """Count the present task as a stream; when `end_streams` ends it, its cancellation becomes the error DRAINING."""
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a stream is answered by a task")
        if self.draining:
            raise ApiError(ErrorReason.ERROR_REASON_DRAINING)
        self._streams.add(task)
        try:
            yield
        except asyncio.CancelledError:
            if task in self._ended and task.uncancel() == 0:
                raise ApiError(ErrorReason.ERROR_REASON_DRAINING) from None
            raise
        finally:
            self._streams.discard(task)
            self._ended.discard(task)

    async def end_streams(self, seconds: float) -> None:
        """Begin no stream any more; let those under way end by themselves for so long, then end those that wait."""
        self.draining = True
        if self._streams:
            await asyncio.wait(set(self._streams), timeout=seconds)
        for task in set(self._streams):
            self._ended.add(task)
            task.cancel()

    async def close(self, seconds: float) -> None:
        """Refuse every new call; return when those under way have their answers, or after so long."""
        self.draining = self.closed = True
        try:
            async with asyncio.timeout(seconds):
                await self._idle.wait()
        except TimeoutError:
            return
