"""The one error tree of the edge, and how each error travels.

    ApiError                 a reason of the catalogue: what every refusal of a call or of one message in a stream is
     +-- FieldsInvalid       at least one field is at fault; names each

A service translates its own exceptions to these once, in its `api`. On the wire an error is a `google.rpc.Status`: code and
English sentence of the catalogue, `ErrorInfo` (domain `relais`), the French sentence as `LocalizedMessage`, `BadRequest` where
fields are at fault, `RetryInfo` where trying again helps. No part of it is ever made from a value of the request, so none can
hold a patient's name.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import NoReturn, TypeAlias, cast

import grpc
import grpc.aio
from google.protobuf.any_pb2 import Any as PackedDetail
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc import code_pb2, error_details_pb2, status_pb2

from relais.api.access.v1 import error_reason_pb2
from relais.api.access.v1.error_reason_pb2 import ErrorReason

DOMAIN = "relais"
DETAILS_TRAILER = "grpc-status-details-bin"
VIOLATIONS_MAXIMUM = 100
RETRY_SECONDS_DEFAULT = 1.0

Reason: TypeAlias = "ErrorReason.ValueType"

_PREFIX = "ERROR_REASON_"
_RETRYABLE = frozenset({code_pb2.RESOURCE_EXHAUSTED, code_pb2.UNAVAILABLE})


@dataclass(frozen=True, slots=True)
class Explanation:
    """One entry of the catalogue: the word, its status code (a number of google.rpc.Code) and the sentences."""

    word: str
    code: int
    english: str
    french: str


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """One field at fault, by its path in the request (`submission.flags.masque_ps`) or in the document, and why."""

    field: str
    reason: Reason = ErrorReason.ERROR_REASON_FIELD_INVALID


class ApiError(Exception):
    """A refusal. `metadata` are words that are ours (a permission's name, a limit), never the caller's; `retry_seconds` is advice."""

    def __init__(self, reason: Reason, *, metadata: Mapping[str, str] | None = None, retry_seconds: float | None = None) -> None:
        super().__init__(explain(reason).word)
        self.reason = reason
        self.metadata = dict(metadata or {})
        self.retry_seconds = retry_seconds

    @property
    def explanation(self) -> Explanation:
        """The catalogue's entry."""
        return explain(self.reason)

    def details(self) -> list[Message]:
        """The details of the status, `ErrorInfo` first."""
        entry = self.explanation
        details: list[Message] = [
            error_details_pb2.ErrorInfo(reason=entry.word, domain=DOMAIN, metadata=self.metadata),
            error_details_pb2.LocalizedMessage(locale="fr-FR", message=entry.french),
        ]
        if entry.code in _RETRYABLE:
            seconds = RETRY_SECONDS_DEFAULT if self.retry_seconds is None else self.retry_seconds
            delay = Duration()
            delay.FromMilliseconds(round(seconds * 1000))
            details.append(error_details_pb2.RetryInfo(retry_delay=delay))
        return details

    def status(self) -> status_pb2.Status:
        """The error as it travels, alone or inside a message of a stream."""
        entry = self.explanation
        packed = []
        for detail in self.details():
            holder = PackedDetail()
            holder.Pack(detail)
            packed.append(holder)
        return status_pb2.Status(code=entry.code, message=entry.english, details=packed)


class FieldsInvalid(ApiError):
    """Fields are at fault. The reason is the violations' own where they agree on one, else FIELD_INVALID."""

    def __init__(self, violations: Sequence[FieldViolation]) -> None:
        reasons = {violation.reason for violation in violations}
        super().__init__(reasons.pop() if len(reasons) == 1 else ErrorReason.ERROR_REASON_FIELD_INVALID)
        self.violations = tuple(violations[:VIOLATIONS_MAXIMUM])

    def details(self) -> list[Message]:
        bad_request = error_details_pb2.BadRequest()
        for violation in self.violations:
            entry = explain(violation.reason)
            told = bad_request.field_violations.add(field=violation.field, description=entry.english, reason=entry.word)
            told.localized_message.CopyFrom(error_details_pb2.LocalizedMessage(locale="fr-FR", message=entry.french))
        return [*super().details(), bad_request]


@cache
def explain(reason: Reason) -> Explanation:
    """The catalogue's entry of a reason."""
    value = ErrorReason.DESCRIPTOR.values_by_number[reason]
    explanation = value.GetOptions().Extensions[error_reason_pb2.explanation]
    return Explanation(value.name.removeprefix(_PREFIX), explanation.code, explanation.english, explanation.french)


def reason_named(word: str) -> Reason:
    """The reason with this word, such as a domain's own enum carries it. Raises `ValueError`."""
    return ErrorReason.Value(_PREFIX + word)


def catalogue() -> list[Explanation]:
    """Every reason there is, in the order of the contract; the documentation's catalogue is made from it."""
    return [explain(number) for number in ErrorReason.values() if number]


async def abort(context: "grpc.aio.ServicerContext[object, object]", error: ApiError) -> NoReturn:
    """End a call with an error."""
    status = error.status()
    trailer = ((DETAILS_TRAILER, status.SerializeToString()),)
    await context.abort(grpc_code(status.code), status.message, trailing_metadata=trailer)


def grpc_code(code: int | grpc.StatusCode) -> grpc.StatusCode:
    """The grpc library's own object for a number of google.rpc.Code; a call's context gives either."""
    return code if isinstance(code, grpc.StatusCode) else _codes()[code]


@cache
def _codes() -> dict[int, grpc.StatusCode]:
    return {cast("tuple[int, str]", code.value)[0]: code for code in grpc.StatusCode}
