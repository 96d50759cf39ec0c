"""What the shared parts raise, translated once to what a caller is told; a service adds its own exceptions in its `api`."""

from collections.abc import Callable

import asyncpg
import structlog

from relais.api.access.v1.error_reason_pb2 import ErrorReason
from relais.chassis.access.recorder import ReadsOverloaded
from relais.chassis.api.errors import ApiError
from relais.chassis.logs import error_fields
from relais.eventlog.log import LogUnavailable, OutcomeUnknown, Overloaded
from relais.transport.bus import BusUnavailable
from relais.vault.vault import SubjectErased, VaultUnavailable

Translate = Callable[[Exception], ApiError | None]

# What a lost or refused database connection looks like, from asyncpg and from the socket below it.
_CONNECTION_ERRORS = (
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.CannotConnectNowError,
)
_CAPACITY_ERRORS = (asyncpg.TooManyConnectionsError, asyncpg.InsufficientResourcesError)

_log = structlog.get_logger("relais.api")


def translate_shared(error: Exception) -> ApiError | None:
    """What an exception of the shared parts means to a caller; None for one that they do not raise."""
    match error:
        case ApiError():
            return error
        case SubjectErased():
            return ApiError(ErrorReason.ERROR_REASON_SUBJECT_ERASED)
        case OutcomeUnknown():
            return ApiError(ErrorReason.ERROR_REASON_OUTCOME_UNKNOWN)
        case Overloaded():
            return ApiError(ErrorReason.ERROR_REASON_OVERLOADED, retry_seconds=error.retry_after_seconds)
        case ReadsOverloaded():
            return ApiError(ErrorReason.ERROR_REASON_OVERLOADED)
        case BusUnavailable() | VaultUnavailable() | LogUnavailable():
            return ApiError(ErrorReason.ERROR_REASON_SERVICE_UNAVAILABLE)
        case _ if isinstance(error, _CAPACITY_ERRORS):
            return ApiError(ErrorReason.ERROR_REASON_OVERLOADED)
        case _ if isinstance(error, _CONNECTION_ERRORS):
            return ApiError(ErrorReason.ERROR_REASON_SERVICE_UNAVAILABLE)
        case _:
            return None


def to_api_error(error: Exception, method: str, translate: Translate) -> ApiError:
    """What the caller is told about any exception: the service's translation, else the shared one, else INTERNAL, which is logged."""
    told = translate(error) or translate_shared(error)
    if told is not None:
        return told
    _log.error("call_failed", method=method, **error_fields(error))
    return ApiError(ErrorReason.ERROR_REASON_INTERNAL)
