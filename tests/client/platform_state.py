"""What the platform of the tests holds, what it shall get wrong, and how it says no."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2
from google.rpc.status_pb2 import Status

from relais.api.ingestion.v1 import document_pb2, submission_pb2


@dataclass
class Fault:
    """What goes wrong with one call of a method. `after_work`: the work is done and the answer is lost; `silent`: no answer ever comes."""

    code: int
    reason: str = ""
    retry_after_seconds: float | None = None
    after_work: bool = False
    after_documents: int = 0
    after_bytes: int = 0
    silent: bool = False


@dataclass
class State:
    """What the platform holds; tests look at it and plan faults."""

    faults: dict[str, list[Fault]] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    requests: dict[str, tuple[bytes, document_pb2.Receipt]] = field(default_factory=dict)
    submissions: dict[str, submission_pb2.Submission] = field(default_factory=dict)
    documents: dict[str, document_pb2.Document] = field(default_factory=dict)
    uploads: dict[str, bytearray] = field(default_factory=dict)
    upload_sizes: dict[str, int] = field(default_factory=dict)
    bytes_uploaded: int = 0
    unanswered_most: int = 0
    together_most: int = 0
    takes_more: bool = True
    sent_together_most: int = 0
    unanswered_bytes_most: int = 0
    sites: set[str] = field(default_factory=lambda: {"site-a"})
    outcomes: dict[str, str] = field(default_factory=dict)

    def fault(self, method: str) -> Fault | None:
        """The next planned fault of a method, which is then over."""
        planned = self.faults.get(method)
        return planned.pop(0) if planned else None


def packed(*details: Any) -> list[AnyMessage]:
    messages = []
    for detail in details:
        message = AnyMessage()
        message.Pack(detail)
        messages.append(message)
    return messages


def status_of(code: int, reason: str, fields: tuple[str, ...] = (), retry_after_seconds: float | None = None) -> Status:
    """A status as the platform sends it: ErrorInfo, sentences in two languages, fields, a delay."""
    details: list[Any] = [
        error_details_pb2.ErrorInfo(reason=reason, domain="relais", metadata={"place": "test"}),
        error_details_pb2.LocalizedMessage(locale="fr", message=f"refus : {reason}"),
    ]
    if fields:
        violations = [error_details_pb2.BadRequest.FieldViolation(field=name, description="is not decided") for name in fields]
        details.append(error_details_pb2.BadRequest(field_violations=violations))
    if retry_after_seconds is not None:
        delay = Duration(nanos=int(retry_after_seconds % 1 * 1e9), seconds=int(retry_after_seconds))
        details.append(error_details_pb2.RetryInfo(retry_delay=delay))
    return Status(code=code, message=f"refused: {reason}", details=packed(*details))


class Refusal(Exception):
    """A status to answer with."""

    def __init__(self, status: Status) -> None:
        super().__init__(status.message)
        self.status = status


async def refuse(context: grpc.aio.ServicerContext[Any, Any], status: Status) -> None:
    code = next(each for each in grpc.StatusCode if each.value[0] == status.code)
    context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
    await context.abort(code, status.message)


async def plan(state: State, context: grpc.aio.ServicerContext[Any, Any], method: str) -> Fault | None:
    """Note the call; answer with the planned fault now, or hand it over when it comes after the work."""
    state.calls.append(method)
    fault = state.fault(method)
    if fault is not None and fault.silent:
        await asyncio.Event().wait()
    if fault is not None and not (fault.after_work or fault.after_documents or fault.after_bytes):
        await refuse(context, status_of(fault.code, fault.reason, retry_after_seconds=fault.retry_after_seconds))
    return fault
