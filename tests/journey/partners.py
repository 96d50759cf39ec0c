"""The partners of a running stack, asked what they have through the sandbox's control port and its folders."""

import base64
import hashlib
import json
import urllib.request
from dataclasses import dataclass
from typing import Any

from relais.embedded.stack import Stack

CONTROL_TIMEOUT_SECONDS = 10.0
PAGE = 1000


@dataclass(frozen=True)
class Arrived:
    """One document as a partner keeps it. It keeps nothing whose digest and signature it did not verify."""

    endpoint: str
    sha256: bytes
    times: int
    recipient: dict[str, str]
    body: bytes


class Partners:
    """The sandbox of one stack."""

    def __init__(self, stack: Stack) -> None:
        self._control = stack.report().part("sandbox").addresses["control"]
        self._folder = stack.state.sandbox

    def have(self, document: str, *endpoints: str) -> list[Arrived]:
        """What they have of one document (its id), by endpoint."""
        found = []
        for endpoint in endpoints or self._ask("GET", "/partners"):
            found += [self._arrived(endpoint, entry) for entry in self._received(endpoint) if entry["document"] == document]
        return found

    def disbelieved(self) -> list[str]:
        """The checks that failed, at any partner: of digests, signatures, sealed recipients."""
        return [code for counts in self._ask("GET", "/partners").values() for code in counts["disbelieved"]]

    def treat(self, endpoint: str, *first: str, then: str = "ok") -> None:
        """How the next calls are treated, one word each, and every call after them."""
        self._ask("PUT", f"/partners/{endpoint}/script", {"first": list(first), "then": then})

    def _arrived(self, endpoint: str, entry: dict[str, Any]) -> Arrived:
        file = self._folder / endpoint / f"{hashlib.sha256(entry['key'].encode()).hexdigest()[:32]}.xml"
        return Arrived(endpoint, base64.b64decode(entry["sha256"]), entry["times"], entry["recipient"], file.read_bytes())

    def _received(self, endpoint: str) -> list[dict[str, Any]]:
        entries: list[dict[str, Any]] = []
        while True:
            page = self._ask("GET", f"/partners/{endpoint}/received?offset={len(entries)}")
            entries += page
            if len(page) < PAGE:
                return entries

    def _ask(self, method: str, path: str, content: object = None) -> Any:
        body = json.dumps(content).encode() if content is not None else None
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"http://{self._control}{path}", data=body, method=method, headers=headers)
        with urllib.request.urlopen(request, timeout=CONTROL_TIMEOUT_SECONDS) as response:
            return json.loads(response.read())
