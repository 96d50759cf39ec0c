"""What a failure of Postgres means to the caller: nothing was stored, or nobody knows.

SQLSTATE classes are those of PostgreSQL's appendix A; `RL...` are our own, raised in functions.sql.
"""

import asyncpg

from relais.eventlog.log import BatchConflict, EventLogError, Fenced, LogUnavailable, OutcomeUnknown

# asyncpg says InternalClientError when the server ended a connection just before it was used.
FAILURES = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, TimeoutError)

_FENCED = "RL001"
_CONFLICT = "RL002"

# The transaction was rolled back for sure, and the same call may succeed later: serialization and deadlock (40), lock timeout (55P03),
# cancelled by a server-side timeout (57014), read-only after a failover (25006), no room, memory or connections (53), I/O (58).
_ROLLED_BACK = ("40", "55P03", "57014", "25006", "53", "58")

# The session ended, and with it the answer: connection failures (08), server stopped or crashed (57P).
_CUT = ("08", "57P")


def append_failure(error: BaseException) -> EventLogError | None:
    """What a failed append means; None when it is our own mistake, which must surface as it is."""
    if not isinstance(error, asyncpg.PostgresError):
        return OutcomeUnknown("the connection broke before the answer came")
    state = str(error.sqlstate or "")
    if state == _FENCED:
        return Fenced("a checkpoint has another epoch")
    if state == _CONFLICT:
        return BatchConflict([int(number) - 1 for number in str(error.detail).split(",")])
    if state.startswith(_ROLLED_BACK):
        return LogUnavailable("the log cannot write now")
    if state.startswith(_CUT) or not state:
        return OutcomeUnknown("the session ended before the answer came")
    return None


def read_failure(error: BaseException) -> EventLogError | None:
    """What a failed read means; None when it is our own mistake."""
    meaning = append_failure(error)
    return LogUnavailable("the log did not answer") if isinstance(meaning, OutcomeUnknown) else meaning
