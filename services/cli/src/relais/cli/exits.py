"""How the command ends, for scripts. Documented in the README; a number never changes its meaning."""

from collections.abc import Sequence
from enum import IntEnum

from relais.client.errors import Broken, ClientError, NotAllowed, NotFound, Refused, SettingsError, Unavailable


class ExitCode(IntEnum):
    """What a script may rely on."""

    DONE = 0
    REFUSED = 1
    USAGE = 2
    UNAVAILABLE = 3
    NOT_ALLOWED = 4
    NOT_FOUND = 5
    UNFINISHED = 6
    BROKEN = 7
    INTERRUPTED = 130


class UsageError(Exception):
    """What was asked cannot be done as it was asked; says what to do instead, in two languages."""

    def __init__(self, french: str, english: str) -> None:
        super().__init__(english)
        self.french = french
        self.english = english


# The first that fits; a subclass stands before its class.
_CODES: tuple[tuple[type[Exception], ExitCode], ...] = (
    (NotFound, ExitCode.NOT_FOUND),
    (Refused, ExitCode.REFUSED),
    (NotAllowed, ExitCode.NOT_ALLOWED),
    (Unavailable, ExitCode.UNAVAILABLE),
    (Broken, ExitCode.BROKEN),
    (SettingsError, ExitCode.USAGE),
    (UsageError, ExitCode.USAGE),
)

HANDLED = (ClientError, SettingsError, UsageError)


def exit_code(error: Exception) -> ExitCode:
    """How the command ends after this error."""
    return next((code for kind, code in _CODES if isinstance(error, kind)), ExitCode.BROKEN)


def worst(errors: Sequence[ClientError]) -> ExitCode | None:
    """How the command ends after several: a defect before a closed door, that before an absent platform, that before a refusal."""
    codes = {exit_code(error) for error in errors}
    for code in (ExitCode.BROKEN, ExitCode.NOT_ALLOWED, ExitCode.UNAVAILABLE, ExitCode.REFUSED, ExitCode.NOT_FOUND):
        if code in codes:
            return code
    return None
