"""From gRPC's errors and `google.rpc.Status` to our error tree: the only place that knows codes and details."""

from collections.abc import Iterable

import grpc
from google.protobuf.any_pb2 import Any
from google.rpc import error_details_pb2
from google.rpc.status_pb2 import Status
from grpc_status import rpc_status

from relais.client.errors import (
    Broken,
    ClientError,
    Conflict,
    Explanation,
    Interrupted,
    Invalid,
    NotAllowed,
    NotFound,
    NotOffered,
    Overloaded,
    TooLate,
    Unavailable,
    Violation,
)

# Whatever is not listed is a defect of ours or of a proxy.
_KINDS: dict[grpc.StatusCode, type[ClientError]] = {
    grpc.StatusCode.INVALID_ARGUMENT: Invalid,
    grpc.StatusCode.OUT_OF_RANGE: Invalid,
    grpc.StatusCode.ALREADY_EXISTS: Conflict,
    grpc.StatusCode.FAILED_PRECONDITION: Conflict,
    grpc.StatusCode.ABORTED: Conflict,
    grpc.StatusCode.NOT_FOUND: NotFound,
    grpc.StatusCode.UNIMPLEMENTED: NotOffered,
    grpc.StatusCode.UNAUTHENTICATED: NotAllowed,
    grpc.StatusCode.PERMISSION_DENIED: NotAllowed,
    grpc.StatusCode.UNAVAILABLE: Unavailable,
    # A server, or a proxy, that stops while it answers. A call that its own caller cancels ends with CancelledError and never comes here.
    grpc.StatusCode.CANCELLED: Unavailable,
    grpc.StatusCode.RESOURCE_EXHAUSTED: Overloaded,
    grpc.StatusCode.DEADLINE_EXCEEDED: TooLate,
}
# What grpc says when a write fails because the other side ended the call: the status that the other side gave is lost.
_WRITE_FAILED = "Internal error from Core"
_CODES = {code.value[0]: code for code in grpc.StatusCode}


def error_of_call(error: grpc.aio.AioRpcError) -> ClientError:
    """The failure of a whole call."""
    if error.code() is grpc.StatusCode.INTERNAL and error.details() == _WRITE_FAILED:
        return Interrupted(Explanation(code=grpc.StatusCode.UNAVAILABLE.name, message="the call ended while something was being sent"))
    status = rpc_status.from_call(error)  # type: ignore[arg-type]  # It reads code, details and trailing metadata, which both kinds of call have.
    return _error(error.code(), error.details() or "", status.details if status is not None else ())


def error_of_status(status: Status) -> ClientError:
    """The failure of one message inside a stream that goes on."""
    return _error(_CODES.get(status.code, grpc.StatusCode.UNKNOWN), status.message, status.details)


def _error(code: grpc.StatusCode, message: str, details: Iterable[Any]) -> ClientError:
    info, localized, fault, retry = (
        error_details_pb2.ErrorInfo(),
        error_details_pb2.LocalizedMessage(),
        error_details_pb2.BadRequest(),
        error_details_pb2.RetryInfo(),
    )
    for detail in details:
        for known in (info, localized, fault, retry):
            if detail.Is(known.DESCRIPTOR):
                detail.Unpack(known)
    explanation = Explanation(
        code=code.name,
        reason=info.reason,
        message=message,
        localized=localized.message,
        violations=tuple(Violation(each.field, each.description) for each in fault.field_violations),
        metadata=dict(info.metadata),
        retry_after_seconds=retry.retry_delay.ToTimedelta().total_seconds() if retry.HasField("retry_delay") else None,
    )
    return _KINDS.get(code, Broken)(explanation)
