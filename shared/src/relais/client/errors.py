"""What may go wrong with a call, as one tree. Translated once, from the status and its details (`statuses.py`).

ClientError              every failure of a call
 +-- Refused             the platform understood and said no; sending the same again gives the same answer
 |    +-- Invalid        a field, the document, or the declared identity is not acceptable (`violations` name the fields)
 |    +-- Conflict       something is there already, changed meanwhile, or is in a state that does not allow this
 |    +-- NotFound       there is no such resource
 |    +-- NotOffered     the contract names it, this version does not do it yet
 +-- NotAllowed          the credential is missing, unknown, or may not do this
 +-- Unavailable         nothing is known to have happened, or a repeat is harmless: try again (`retry_after_seconds`)
 |    +-- Overloaded     too much is under way
 |    +-- TooLate        the answer did not come before the deadline
 |    +-- Interrupted    the call ended while something was being sent, and gRPC does not say why
 +-- Broken              a defect of the platform, or of what stands between it and here

Configuration errors are `SettingsError`: they are found before anything is called.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


class SettingsError(Exception):
    """An address, a certificate or a credential cannot be used; the message says which and what to do."""


@dataclass(frozen=True, slots=True)
class Violation:
    """One field that is not acceptable, by its path in the request (`submission.flags.destdmp`), and why. Never its value."""

    field: str
    description: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """What the platform said about a failure. `reason` is a word of `relais.api.access.v1.ErrorReason` without its prefix, or empty
    where the failure did not come from the platform itself; `code` is the gRPC status code's name.
    """

    code: str
    reason: str = ""
    message: str = ""
    localized: str = ""
    violations: tuple[Violation, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)
    retry_after_seconds: float | None = None


class ClientError(Exception):
    """A call failed. Never holds a value of the request."""

    def __init__(self, explanation: Explanation) -> None:
        super().__init__(explanation.message or explanation.code)
        self.explanation = explanation

    @property
    def reason(self) -> str:
        """The platform's word for it, for instance `SITE_UNKNOWN`; empty where there is none."""
        return self.explanation.reason

    @property
    def violations(self) -> tuple[Violation, ...]:
        """The fields that are not acceptable."""
        return self.explanation.violations

    @property
    def retry_after_seconds(self) -> float | None:
        """How long to wait before trying again, where the platform said so."""
        return self.explanation.retry_after_seconds


class Refused(ClientError):
    """The platform said no."""


class Invalid(Refused):
    """What was sent is not acceptable."""


class Conflict(Refused):
    """What is there does not allow it."""


class NotFound(Refused):
    """There is no such resource."""


class NotOffered(Refused):
    """The contract names it, but this version does not do it yet."""


class NotAllowed(ClientError):
    """The credential may not do this."""


class Unavailable(ClientError):
    """Try again."""


class Overloaded(Unavailable):
    """Try again after the delay."""


class TooLate(Unavailable):
    """No answer before the deadline."""


class Interrupted(Unavailable):
    """Ask again, and listen before sending: a refusal comes at once."""


class Broken(ClientError):
    """A defect."""
