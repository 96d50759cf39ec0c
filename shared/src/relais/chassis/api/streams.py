"""The streams under way, so that a process that stops can end them in good order instead of cutting them."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from relais.api.access.v1.error_reason_pb2 import ErrorReason
from relais.chassis.api.errors import ApiError


class Streams:
    """Knows the task of every stream. `draining` says that the process is stopping."""

    def __init__(self) -> None:
        self.draining = False
        self._tasks: set[asyncio.Task[object]] = set()
        self._ended: set[asyncio.Task[object]] = set()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Count the present task as a stream; when it is ended by `drain`, its cancellation becomes the error DRAINING."""
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a stream is answered by a task")
        if self.draining:
            raise ApiError(ErrorReason.ERROR_REASON_DRAINING)
        self._tasks.add(task)
        try:
            yield
        except asyncio.CancelledError:
            if task in self._ended and task.uncancel() == 0:
                raise ApiError(ErrorReason.ERROR_REASON_DRAINING) from None
            raise
        finally:
            self._tasks.discard(task)
            self._ended.discard(task)

    async def drain(self, seconds: float) -> None:
        """Let streams end by themselves for so long, then end those that wait."""
        self.draining = True
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=seconds)
        for task in set(self._tasks):
            self._ended.add(task)
            task.cancel()
