"""What ingestion refuses, in the words of the one error tree: translated here, once, and nowhere else."""

from relais.api.access.v1.error_reason_pb2 import ErrorReason
from relais.chassis.api.errors import ApiError, FieldsInvalid, FieldViolation, reason_named
from relais.eventlog.log import EventLogError, OutcomeUnknown
from relais.ingestion.api.submission import SubmissionInvalid
from relais.ingestion.cda import DocumentRefused
from relais.ingestion.domain import SubmissionRefused
from relais.ingestion.fair_queue import QueueFull
from relais.ingestion.handlers import DocumentTooLarge, HashMismatch
from relais.ingestion.uploads import UploadMismatch
from relais.ingestion.watching import TooManyWatchers
from relais.vault.vault import BodyMissing, ChunkConflict, SubjectErased, VaultError

REFUSALS = (
    ApiError,
    SubmissionInvalid,
    DocumentRefused,
    SubmissionRefused,
    QueueFull,
    DocumentTooLarge,
    HashMismatch,
    UploadMismatch,
    TooManyWatchers,
    EventLogError,
    VaultError,
    OSError,
)

# What an upload disagrees on, as a field of its first frame and with the reason for it.
_UPLOAD_VIOLATIONS = {
    "size": FieldViolation("start.size_bytes", ErrorReason.ERROR_REASON_SIZE_MISMATCH),
    "sha256": FieldViolation("submission.sha256", ErrorReason.ERROR_REASON_HASH_MISMATCH),
    "committed_bytes": FieldViolation("start.offset_bytes", ErrorReason.ERROR_REASON_UPLOAD_OFFSET_WRONG),
}
_DOCUMENT_ID = "document.id"


def refusal_of(error: BaseException) -> ApiError:
    """The error as it travels. Anything that is not one of `REFUSALS` is a mistake of ours: INTERNAL."""
    return translate(error) or ApiError(ErrorReason.ERROR_REASON_INTERNAL)


def translate(error: BaseException) -> ApiError | None:
    """What ingestion's own exceptions mean to a caller; None for one that is a mistake of ours."""
    match error:
        case ApiError():
            return error
        case SubmissionInvalid():
            return FieldsInvalid([FieldViolation(one.field, one.reason) for one in error.violations])
        case DocumentRefused():
            return FieldsInvalid([FieldViolation(f"document:{error.field}" if error.field else "document", reason_named(error.code))])
        case SubmissionRefused():
            field = "document:ClinicalDocument/id" if error.field == _DOCUMENT_ID else f"submission.{error.field}"
            return FieldsInvalid([FieldViolation(field, reason_named(error.reason))])
        case DocumentTooLarge():
            return FieldsInvalid([FieldViolation("document", ErrorReason.ERROR_REASON_TOO_LARGE)])
        case HashMismatch():
            return FieldsInvalid([FieldViolation("submission.sha256", ErrorReason.ERROR_REASON_HASH_MISMATCH)])
        case UploadMismatch():
            return FieldsInvalid([_UPLOAD_VIOLATIONS[error.field]])
        case _:
            return _failure_of(error)


def _failure_of(error: BaseException) -> ApiError | None:
    match error:
        case QueueFull():
            return ApiError(ErrorReason.ERROR_REASON_OVERLOADED, retry_seconds=error.retry_after_seconds)
        case TooManyWatchers():
            return ApiError(ErrorReason.ERROR_REASON_OVERLOADED)
        case SubjectErased():
            return ApiError(ErrorReason.ERROR_REASON_SUBJECT_ERASED)
        case OutcomeUnknown():
            return ApiError(ErrorReason.ERROR_REASON_OUTCOME_UNKNOWN)
        case BodyMissing() | ChunkConflict():
            return ApiError(ErrorReason.ERROR_REASON_UPLOAD_OFFSET_WRONG)
        case EventLogError() | VaultError() | OSError():
            return ApiError(ErrorReason.ERROR_REASON_SERVICE_UNAVAILABLE)
        case _:
            return None
