"""What a partner can answer to one attempt. A connector turns its protocol's words into one of these five, and into nothing else."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Succeeded:
    """The partner has the document, byte for byte. `status` is the protocol's own word; `repeat` says it already had it."""

    status: str
    repeat: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """The partner took the document but will say later whether it arrived (SMTP 250). `reference` is what it will call it."""

    reference: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """The partner certainly does not have the document, and may take it later; `after_seconds` is its own wish, if it has one.

    `endpoint_fault` says that the partner as a whole is at fault (down, refusing our credential) and not this one document.
    """

    code: str
    after_seconds: float | None = None
    endpoint_fault: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """The partner judged this document and will never take it as it is."""

    code: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown:
    """Nobody knows whether the partner has the document: the call was begun and no readable answer came."""

    code: str


Answer = Succeeded | Accepted | Retry | Refused | Unknown
