"""The sandbox's control port: what each partner is to do, and what it has taken in."""

import asyncio
import json
import urllib.request
from collections.abc import Sequence
from typing import Any, Final

import msgspec

PAGE: Final = 1000
TIMEOUT_SECONDS: Final = 10.0


class Kept(msgspec.Struct, frozen=True):
    """One effect at a partner: a document it took in under one key, `times` times."""

    key: str
    document: str
    sha256: str
    times: int


class Outside:
    """All partners. Raises OSError when the sandbox does not answer."""

    def __init__(self, control: str) -> None:
        self._control = control

    async def behave(self, partner: str, then: str = "ok", *, first: Sequence[str] = (), seconds: float = 1.0) -> None:
        """The next calls get `first`, every other one gets `then`."""
        await self._ask("PUT", f"/partners/{partner}/script", {"first": list(first), "then": then, "seconds": seconds})

    async def kept(self, partner: str) -> list[Kept]:
        """Its effects, in the order of their first arrival."""
        found: list[Kept] = []
        while True:
            page = msgspec.convert(await self._ask("GET", f"/partners/{partner}/received?offset={len(found)}"), list[Kept])
            found += page
            if len(page) < PAGE:
                return found

    async def disbelieved(self, partner: str) -> int:
        """How many calls it did not believe: wrong digest, wrong signature."""
        return len((await self._ask("GET", "/partners"))[partner]["disbelieved"])

    async def _ask(self, method: str, path: str, content: object = None) -> Any:
        body = json.dumps(content).encode() if content is not None else None
        request = urllib.request.Request(
            f"http://{self._control}{path}", data=body, method=method, headers={"Content-Type": "application/json"}
        )

        def call() -> Any:
            with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as response:
                return json.loads(response.read())

        return await asyncio.to_thread(call)
