"""How every call is made: with a deadline, with our errors, and again where a repeat is harmless."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

import grpc
import stamina

from relais.client.errors import Overloaded, TooLate, Unavailable
from relais.client.statuses import error_of_call

Q = TypeVar("Q")
A = TypeVar("A")

CALL_TIMEOUT_SECONDS = 20.0
ATTEMPTS_MAXIMUM = 6
RETRY_SECONDS_MAXIMUM = 60.0
RETRY_AFTER_SECONDS_MAXIMUM = 30.0
PAUSE_SECONDS = 0.05
PAUSE_SECONDS_MAXIMUM = 5.0
# A stream that follows something is opened again rather than kept for ever: replicas come and go.
FOLLOW_TIMEOUT_SECONDS = 900.0
LISTEN_SECONDS = 1.0


@dataclass(frozen=True, kw_only=True)
class CallPolicy:
    """How long one attempt may take, how often it may be repeated and for how long altogether."""

    timeout_seconds: float = CALL_TIMEOUT_SECONDS
    attempts_maximum: int = ATTEMPTS_MAXIMUM
    retry_seconds_maximum: float = RETRY_SECONDS_MAXIMUM


class Calls:
    """Makes calls under one policy, in one language for the sentences that come back."""

    def __init__(self, policy: CallPolicy, language: str) -> None:
        self._policy = policy
        self._metadata = (("accept-language", language),)
        self._caller = stamina.AsyncRetryingCaller(attempts=policy.attempts_maximum, timeout=policy.retry_seconds_maximum).on(
            _wait_before_repeat
        )

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """What every call carries."""
        return self._metadata

    @property
    def attempts_maximum(self) -> int:
        """How many attempts in a row may bring nothing."""
        return self._policy.attempts_maximum

    async def once(self, method: grpc.aio.UnaryUnaryMultiCallable[Q, A], request: Q) -> A:
        """One attempt, for what must not be done twice."""
        try:
            return await method(request, timeout=self._policy.timeout_seconds, metadata=self._metadata)
        except grpc.aio.AioRpcError as error:
            raise error_of_call(error) from None

    async def repeated(self, method: grpc.aio.UnaryUnaryMultiCallable[Q, A], request: Q) -> A:
        """Attempts until an answer comes, for what may be done twice: reads, and whatever a request_id or its content makes the same."""

        async def attempt() -> A:
            return await self.once(method, request)

        return await self.again(attempt)

    async def again(self, attempt: Callable[[], Awaitable[A]]) -> A:
        """Run `attempt` until it succeeds, under this policy; between two runs it waits, ever longer or as long as the platform asked.

        `attempt` takes no arguments: stamina's instrumentation writes arguments to the log, and ours are about persons.
        """
        return await self._caller(attempt)

    async def stream(self, method: grpc.aio.UnaryStreamMultiCallable[Q, A], request: Q, timeout_seconds: float) -> AsyncIterator[A]:
        """The messages of one streaming call, once, with our errors."""
        call = method(request, timeout=timeout_seconds, metadata=self._metadata)
        try:
            async for message in call:
                yield message
        except grpc.aio.AioRpcError as error:
            raise error_of_call(error) from None
        finally:
            call.cancel()

    async def followed(self, open_stream: Callable[[], AsyncIterator[A]]) -> AsyncIterator[A]:
        """The messages of a stream that is opened again when it breaks or reaches its deadline. Gives up after as many failures in a row as
        a call has attempts; `open_stream` decides where it goes on.
        """
        failures = 0
        while True:
            try:
                async for message in open_stream():
                    failures = 0
                    yield message
                return
            except TooLate:
                continue  # The stream's own lifetime ended; the next one takes over.
            except Unavailable as error:
                failures += 1
                if failures >= self._policy.attempts_maximum:
                    raise
                await asyncio.sleep(pause_seconds(error, failures))


async def listen(call: grpc.aio.Call) -> None:
    """Wait a moment for a call that was just made to be refused, before anything is sent that would hide why (`Interrupted`)."""
    ended = asyncio.Event()
    call.add_done_callback(lambda _: ended.set())
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(ended.wait(), LISTEN_SECONDS)


def pause_seconds(error: Unavailable, failures: int) -> float:
    """How long to wait after so many failures in a row: as asked for, else doubling; by chance, so that clients do not come in step."""
    if error.retry_after_seconds is not None:
        return min(error.retry_after_seconds, RETRY_AFTER_SECONDS_MAXIMUM)
    return float(min(PAUSE_SECONDS_MAXIMUM, PAUSE_SECONDS * 2**failures)) * (0.5 + random.random() / 2)


def _wait_before_repeat(error: Exception) -> bool | float:
    """What stamina asks: not at all, after its own delay, or after this many seconds."""
    if not isinstance(error, Unavailable) or isinstance(error, TooLate):
        return False
    if error.retry_after_seconds is None:
        # Without a delay, RESOURCE_EXHAUSTED may be a limit that no waiting changes, such as the size of a message.
        return not isinstance(error, Overloaded)
    return error.retry_after_seconds if error.retry_after_seconds <= RETRY_AFTER_SECONDS_MAXIMUM else False
