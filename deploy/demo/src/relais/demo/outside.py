"""The outside world of the demonstration: what the partners are told to do, and what they say that they received."""

import asyncio
import json
import urllib.request
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

CONTROL_TIMEOUT_SECONDS: Final = 10.0
PAGE: Final = 1000

SCRIPTS: Final[Mapping[str, Mapping[str, object]]] = {
    "sandbox-one": {},
    # Away for its first three calls: those documents are tried again by themselves.
    "sandbox-two": {"first": ["unavailable", "unavailable", "unavailable"]},
    # Refuses one document: that delivery is given up, visibly, and waits for nobody.
    "sandbox-three": {"first": ["refuse"]},
}


@dataclass
class Arrivals:
    """What one partner has of this run: documents, how often one came again, and how many are not byte for byte what was sent."""

    documents: int = 0
    again: int = 0
    differing: int = 0
    disbelieved: int = 0


class OutsideWorld:
    """The sandbox's control port, `host:port`."""

    def __init__(self, control: str) -> None:
        self._control = control

    async def rehearse(self) -> None:
        """Tell each partner how to treat its next calls."""
        for partner, script in SCRIPTS.items():
            await self._ask("PUT", f"/partners/{partner}/script", dict(script))

    async def arrivals(self, sent: Mapping[str, str]) -> dict[str, Arrivals]:
        """What arrived of these documents; `sent` gives the SHA-256, in base64, of what was sent as each document (its id).

        A partner keeps a document only after it has verified digest and signature; what it did not believe is counted apart.
        """
        found = {}
        partners = await self._ask("GET", "/partners")
        for partner in SCRIPTS:
            arrivals = found[partner] = Arrivals(disbelieved=len(partners[partner]["disbelieved"]))
            for entry in await self._received(partner):
                if entry["document"] in sent:
                    arrivals.documents += 1
                    arrivals.again += entry["times"] - 1
                    arrivals.differing += entry["sha256"] != sent[entry["document"]]
        return found

    async def _received(self, partner: str) -> Iterable[dict[str, Any]]:
        entries: list[dict[str, Any]] = []
        while True:
            page = await self._ask("GET", f"/partners/{partner}/received?offset={len(entries)}")
            entries += page
            if len(page) < PAGE:
                return entries

    async def _ask(self, method: str, path: str, content: object = None) -> Any:
        """One call to the control port. Raises OSError when the sandbox does not answer."""
        body = json.dumps(content).encode() if content is not None else None
        request = urllib.request.Request(
            f"http://{self._control}{path}", data=body, method=method, headers={"Content-Type": "application/json"}
        )

        def call() -> Any:
            with urllib.request.urlopen(request, timeout=CONTROL_TIMEOUT_SECONDS) as response:  # noqa: S310 - see above.
                return json.loads(response.read())

        return await asyncio.to_thread(call)
