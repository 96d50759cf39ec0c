"""Waiting for something in another process, which nobody rings a bell for."""

import inspect
import time
from collections.abc import Awaitable, Callable
from typing import Final

from relais.clock import SystemClock

POLL_SECONDS: Final = 0.02

CLOCK: Final = SystemClock()


async def until(
    condition: Callable[[], bool | Awaitable[bool]], timeout_seconds: float, otherwise: str, every: float = POLL_SECONDS
) -> None:
    """Look again and again until it is so.

    Raises:
        AssertionError: it was not, in time; `otherwise` says what was wrong.
    """
    deadline = time.monotonic() + timeout_seconds
    while True:
        answer = condition()
        if await answer if inspect.isawaitable(answer) else answer:
            return
        assert time.monotonic() < deadline, f"after {timeout_seconds:g} s: {otherwise}"
        await CLOCK.sleep(every)
