"""What identity refuses, in the words of the one error tree: translated here, once, and nowhere else."""

from relais.api.access.v1.error_reason_pb2 import ErrorReason
from relais.chassis.api.errors import ApiError, FieldsInvalid, FieldViolation
from relais.eventlog.log import BatchConflict
from relais.identity.domain.errors import (
    CannotRelease,
    Changed,
    Invalid,
    NotHeld,
    NotYours,
    Revoked,
    StatusRaised,
    TakenElsewhere,
    Unknown,
)
from relais.identity.registry_desk import RegistryFull
from relais.vault.vault import SealBroken


def translate(error: Exception) -> ApiError | None:
    """What identity's own exceptions mean to a caller; None for one that is not identity's."""
    match error:
        case Invalid(field="reason"):
            return ApiError(ErrorReason.ERROR_REASON_REASON_MISSING)
        case Invalid() | StatusRaised() | Unknown():
            return FieldsInvalid([FieldViolation(error.field)])
        case NotYours():
            return ApiError(ErrorReason.ERROR_REASON_PERMISSION_MISSING)
        case TakenElsewhere():
            return ApiError(ErrorReason.ERROR_REASON_RESOURCE_EXISTS)
        case NotHeld() | CannotRelease() | Revoked() | SealBroken():
            return ApiError(ErrorReason.ERROR_REASON_STATE_CONFLICT)
        case Changed() | BatchConflict():
            return ApiError(ErrorReason.ERROR_REASON_ETAG_MISMATCH)
        case RegistryFull():
            return ApiError(ErrorReason.ERROR_REASON_OVERLOADED)
        case _:
            return None
