"""Lists that come in pages, as one list that goes on until its limit."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import TypeVar

M = TypeVar("M")

PAGE_SIZE = 200


async def pages(fetch: Callable[[int, str], Awaitable[tuple[Sequence[M], str]]], limit: int) -> AsyncIterator[M]:
    """At most `limit` messages; `fetch(page size, token)` gives a page and the token of the next, empty on the last."""
    token, left = "", limit
    while left > 0:
        messages, token = await fetch(min(left, PAGE_SIZE), token)
        for message in messages[:left]:
            yield message
        left -= len(messages)
        if not token:
            return
