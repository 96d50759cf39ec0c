"""What routing refuses, in the words of the one error tree: translated here, once, and nowhere else."""

from relais.api.access.v1.error_reason_pb2 import ErrorReason
from relais.chassis.api.access import not_found
from relais.chassis.api.errors import ApiError, FieldsInvalid, FieldViolation
from relais.eventlog.log import BatchConflict
from relais.routing.domain.errors import CannotRelease, Changed, Invalid, NotHeld, Reused, Unknown


def translate(error: Exception) -> ApiError | None:
    """What routing's own exceptions mean to a caller; None for one that is not routing's."""
    match error:
        case Invalid(field="reason"):
            return ApiError(ErrorReason.ERROR_REASON_REASON_MISSING)
        case Unknown(field="name"):
            return not_found()
        case Invalid() | Unknown():
            return FieldsInvalid([FieldViolation(f"policy.{error.field}")])
        case NotHeld() | CannotRelease():
            return ApiError(ErrorReason.ERROR_REASON_STATE_CONFLICT)
        case Changed() | BatchConflict():
            return ApiError(ErrorReason.ERROR_REASON_ETAG_MISMATCH)
        case Reused():
            return ApiError(ErrorReason.ERROR_REASON_REQUEST_ID_REUSED)
        case _:
            return None
