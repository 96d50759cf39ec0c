"""One partner of the outside world: what it was told to do, and what it has received."""

import hashlib
from collections import OrderedDict, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

BODIES_BYTES_MAXIMUM = 256 * 1024 * 1024
RECEIVED_MAXIMUM = 1_000_000


class Behaviour(Enum):
    """How a partner treats one call. Those that *keep* take the document in, whatever the caller gets to see of it."""

    OK = "ok"  # keep, 200
    UNAVAILABLE = "unavailable"  # 503 with Retry-After
    BUSY = "busy"  # 429
    ERROR = "error"  # 500: who knows
    REFUSE = "refuse"  # 422
    FORBID = "forbid"  # 403
    REDIRECT = "redirect"  # 308 to somewhere else
    SLOW = "slow"  # keep after a while, 200
    HANG = "hang"  # read everything, keep nothing, never answer
    SWALLOW = "swallow"  # keep, never answer
    RESET = "reset"  # break the connection in the middle of the body
    RESET_AFTER = "reset_after"  # keep, then break the connection instead of answering
    LIE = "lie"  # 200, saying it received other bytes
    GARBAGE = "garbage"  # answer something that is not HTTP


@dataclass(slots=True)
class Script:
    """The next calls get `first`, one each; every call after them gets `then`. `seconds` is how long SLOW takes."""

    first: deque[Behaviour] = field(default_factory=deque)
    then: Behaviour = Behaviour.OK
    seconds: float = 1.0

    def next(self) -> Behaviour:
        """What this call gets."""
        return self.first.popleft() if self.first else self.then


@dataclass(slots=True)
class Received:
    """One document as the partner keeps it; `times` counts how often it came under the same key."""

    key: str
    document: str
    sha256: str
    size: int
    times: int = 1
    recipient: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None


class Partner:
    """Recognises repeats by the idempotency key, as the contract of the HTTPS connector asks."""

    def __init__(self, identifier: str, script: Script | None = None, *, folder: Path | None = None) -> None:
        self.identifier = identifier
        self.script = script or Script()
        self.calls = 0
        self.disbelieved: list[str] = []
        self._folder = folder
        self._received: OrderedDict[str, Received] = OrderedDict()
        self._kept_bytes = 0

    def keep(self, received: Received, body: bytes) -> bool:
        """Take a document in; True when it is a repeat of one we have. Oldest bodies are dropped when memory is full."""
        known = self._received.get(received.key)
        if known is not None:
            known.times += 1
            return True
        self._received[received.key] = received
        received.body = body
        self._kept_bytes += len(body)
        self._forget_what_is_too_much()
        if self._folder is not None:
            # The name says nothing about anybody: a hash of an opaque key.
            name = hashlib.sha256(received.key.encode()).hexdigest()[:32]
            (self._folder / f"{name}.xml").write_bytes(body)
        return False

    def received(self) -> list[Received]:
        """All documents in the order of their first arrival."""
        return list(self._received.values())

    def counts(self) -> dict[str, object]:
        """Ready for JSON."""
        documents = self._received.values()
        return {
            "calls": self.calls,
            "documents": len(documents),
            "repeats": sum(entry.times - 1 for entry in documents),
            "disbelieved": list(self.disbelieved[-20:]),
        }

    def forget(self) -> None:
        """Begin again with an empty inbox."""
        self.calls = 0
        self._received.clear()
        self._kept_bytes = 0
        self.disbelieved.clear()

    def _forget_what_is_too_much(self) -> None:
        while len(self._received) > RECEIVED_MAXIMUM:
            _, oldest = self._received.popitem(last=False)
            self._kept_bytes -= len(oldest.body or b"")
        if self._kept_bytes <= BODIES_BYTES_MAXIMUM:
            return
        for entry in self._received.values():
            if self._kept_bytes <= BODIES_BYTES_MAXIMUM:
                return
            self._kept_bytes -= len(entry.body or b"")
            entry.body = None


def script_of(first: Iterable[str], then: str, seconds: float) -> Script:
    """A script from the words of a configuration file or a control call. Raises ValueError for an unknown word."""
    return Script(first=deque(Behaviour(word) for word in first), then=Behaviour(then), seconds=seconds)
