"""What delivery refuses, in the words of the one error tree: translated here, once."""

from relais.api.access.v1.error_reason_pb2 import ErrorReason
from relais.chassis.api.access import not_found
from relais.chassis.api.errors import ApiError
from relais.delivery.desk import EndpointUnknown
from relais.delivery.domain.delivery import AttemptUnderWay, DeliveryFinished, DeliveryRefusal, DeliveryUnknown, DeliveryWithdrawn
from relais.eventlog.log import BatchConflict


def translate(error: BaseException) -> ApiError | None:
    """What delivery's own exceptions mean to a caller; None for what the chassis translates, or a mistake of ours."""
    match error:
        case DeliveryUnknown():
            return not_found()
        case EndpointUnknown():
            return ApiError(ErrorReason.ERROR_REASON_RESOURCE_NOT_FOUND)
        case DeliveryFinished() | DeliveryWithdrawn() | AttemptUnderWay():
            return ApiError(ErrorReason.ERROR_REASON_STATE_CONFLICT, metadata={"state": _state(error)})
        case BatchConflict():
            return ApiError(ErrorReason.ERROR_REASON_STATE_CONFLICT)
        case _:
            return None


def _state(error: DeliveryRefusal) -> str:
    return {DeliveryFinished: "finished", DeliveryWithdrawn: "withdrawn", AttemptUnderWay: "attempting"}[type(error)]
