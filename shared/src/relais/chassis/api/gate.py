"""The one interceptor of every server: judges the call, traces and counts it, translates what it raises, and records denials.

What a method costs here is paid once per call. Messages of a stream pay one comparison each, which notices that the
registry changed: a credential that was revoked loses its open streams at their next message.
"""

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from time import perf_counter
from types import TracebackType
from typing import Any, NoReturn, Self, TypeAlias

import grpc
import grpc.aio

from relais.api.access.v1.error_reason_pb2 import ErrorReason
from relais.chassis.access.principal import Principal, set_caller
from relais.chassis.access.recorder import AccessRecorder
from relais.chassis.api.access import Access, Context, check_permission, check_tenant
from relais.chassis.api.errors import ApiError, abort, grpc_code
from relais.chassis.api.methods import MethodRule
from relais.chassis.api.translation import Translate, to_api_error
from relais.chassis.api.under_way import CallsUnderWay
from relais.chassis.metrics import Metrics
from relais.chassis.tracing import Tracing

UNKNOWN_METHOD = "*"

# grpc's record of a method's functions; its types are not stated anywhere.
MethodHandler: TypeAlias = Any
Details: TypeAlias = grpc.HandlerCallDetails

_DENIALS = frozenset({grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What every call needs."""

    access: Access
    recorder: AccessRecorder
    metrics: Metrics
    tracing: Tracing
    translate: Translate


class Gate(grpc.aio.ServerInterceptor):  # type: ignore[type-arg]  # generic in the stubs only
    """Stands before every method. Only what `rules` names has an entry."""

    def __init__(self, rules: Mapping[str, MethodRule], parts: Parts) -> None:
        self._rules = rules
        self._parts = parts
        self._calls = CallsUnderWay()
        self._handlers: dict[str, MethodHandler] = {}
        self._closed = grpc.stream_stream_rpc_method_handler(self._refuse)

    async def intercept_service(
        self, continuation: Callable[[Details], Awaitable[MethodHandler]], handler_call_details: Details
    ) -> MethodHandler:
        method = handler_call_details.method
        handler = self._handlers.get(method)
        if handler is not None:
            return handler
        rule = self._rules.get(method)
        inner = await continuation(handler_call_details) if rule is not None else None
        if rule is None or inner is None:
            return self._closed
        handler = self._handlers[method] = _Guarded(self._parts, self._calls, rule, inner).handler()
        return handler

    async def drain(self, seconds: float, streams_seconds: float) -> None:
        """End the streams, bulk streams at their next message and the others after `streams_seconds`; then refuse what is new, and
        return when every call has its answer, or after `seconds`.
        """
        await self._calls.end_streams(streams_seconds)
        await self._calls.close(seconds)

    async def _refuse(self, _requests: object, context: Context) -> None:
        """A method that does not exist or names no permission: the same answer for both, after the caller is known."""
        async with _Call(self._parts, self._calls, UNKNOWN_METHOD, context) as call:
            call.recognise()
            raise ApiError(ErrorReason.ERROR_REASON_METHOD_CLOSED)


class _Guarded:
    """One method behind the gate."""

    def __init__(self, parts: Parts, calls: CallsUnderWay, rule: MethodRule, inner: MethodHandler) -> None:
        self._parts = parts
        self._calls = calls
        self._rule = rule
        self._inner = inner
        self._span = rule.method.removeprefix("/")
        self._seconds = parts.metrics.histogram("relais_rpc_server_call_duration_seconds", rule.method)

    def handler(self) -> MethodHandler:
        """The method's functions with the guarded one in place of the inner one."""
        inner = self._inner
        codec = (inner.request_deserializer, inner.response_serializer)
        if inner.request_streaming and inner.response_streaming:
            return grpc.stream_stream_rpc_method_handler(self._streaming(inner.stream_stream), *codec)
        if inner.response_streaming:
            return grpc.unary_stream_rpc_method_handler(self._streaming(inner.unary_stream), *codec)
        if inner.request_streaming:
            return grpc.stream_unary_rpc_method_handler(self._collect, *codec)
        return grpc.unary_unary_rpc_method_handler(self._answer, *codec)

    async def _answer(self, request: object, context: Context) -> object:
        began = perf_counter()
        async with _Call(self._parts, self._calls, self._rule.method, context) as call:
            call.admit(self._rule, request)
            with self._parts.tracing.root(self._span, call.inbound):
                response = await self._inner.unary_unary(request, context)
            self._seconds.observe(perf_counter() - began)
            return response

    async def _collect(self, requests: AsyncIterator[object], context: Context) -> object:
        async with _Call(self._parts, self._calls, self._rule.method, context) as call:
            call.admit(self._rule, None)
            with self._calls.stream(), self._parts.tracing.root(self._span, call.inbound):
                return await self._inner.stream_unary(self._watched(call, requests), context)

    def _streaming(self, function: Callable[[Any, Context], Any]) -> Callable[[Any, Context], Awaitable[None]]:
        # A coroutine that writes, and not a generator around the inner one: what is cancelled ends here and now, in this task.
        generates = inspect.isasyncgenfunction(function)

        async def stream(request: Any, context: Context) -> None:
            async with _Call(self._parts, self._calls, self._rule.method, context) as call:
                call.admit(self._rule, None if self._inner.request_streaming else request)
                source = self._watched(call, request) if self._inner.request_streaming else request
                with self._calls.stream(), self._parts.tracing.root(self._span, call.inbound):
                    if not generates:
                        await function(source, context)
                        return
                    async with aclosing(function(source, context)) as responses:
                        async for response in responses:
                            call.check_still(self._rule)
                            await context.write(response)
                if self._calls.draining:
                    raise ApiError(ErrorReason.ERROR_REASON_DRAINING)

        return stream

    async def _watched(self, call: "_Call", requests: AsyncIterator[object]) -> AsyncIterator[object]:
        """The requests of a stream, for as long as the caller may make them and the process is not stopping."""
        async for request in requests:
            call.check_still(self._rule)
            if self._calls.draining:
                if self._inner.response_streaming:
                    # What was taken already gets its answers; this request and what follows go to another replica.
                    return
                raise ApiError(ErrorReason.ERROR_REASON_DRAINING)
            yield request


class _Call:
    """One call: who makes it, how it ends."""

    __slots__ = ("_calls", "_context", "_credential", "_generation", "_method", "_parts", "_principal")

    def __init__(self, parts: Parts, calls: CallsUnderWay, method: str, context: Context) -> None:
        self._parts = parts
        self._calls = calls
        self._method = method
        self._context = context
        self._credential = ""
        self._principal: Principal | None = None
        self._generation = parts.access.generation

    @property
    def inbound(self) -> str:
        """The caller's own trace context, for a link."""
        return next((str(value) for key, value in self._context.invocation_metadata() or () if key == "traceparent"), "")

    def recognise(self) -> Principal:
        """Find out who calls. Raises `ApiError`."""
        self._credential = self._parts.access.credential(self._context)
        self._principal = self._parts.access.principal(self._credential)
        return self._principal

    def admit(self, rule: MethodRule, request: object | None) -> None:
        """Judge the call and say who makes it. Raises `ApiError`."""
        principal = self.recognise()
        check_permission(principal, rule)
        if self._calls.closed:
            raise ApiError(ErrorReason.ERROR_REASON_DRAINING)
        if rule.unary and self._context.time_remaining() is None:
            raise ApiError(ErrorReason.ERROR_REASON_DEADLINE_MISSING)
        check_tenant(principal, rule, request)
        set_caller(principal)

    def check_still(self, rule: MethodRule) -> None:
        """Judge the caller again if the registry changed. Raises `ApiError`."""
        if self._generation != self._parts.access.generation:
            self._generation = self._parts.access.generation
            check_permission(self._parts.access.principal(self._credential), rule)

    async def __aenter__(self) -> Self:
        self._calls.begin()
        return self

    async def __aexit__(self, _kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None) -> None:
        try:
            if error is None:
                self._count(grpc.StatusCode.OK)
            elif isinstance(error, grpc.aio.AbortError):
                self._count(grpc_code(self._context.code()))
            elif isinstance(error, Exception):
                await self._refuse(to_api_error(error, self._method, self._parts.translate))
            else:
                self._count(grpc.StatusCode.CANCELLED)
        finally:
            self._calls.end()

    async def _refuse(self, told: ApiError) -> NoReturn:
        code = grpc_code(told.explanation.code)
        self._count(code)
        if code in _DENIALS:
            self._deny(told.explanation.word)
        await abort(self._context, told)

    def _count(self, code: grpc.StatusCode) -> None:
        self._parts.metrics.counter("relais_rpc_server_calls_total", self._method, code.name).inc()

    def _deny(self, reason: str) -> None:
        self._parts.metrics.counter("relais_access_denied_total", reason).inc()
        tenant = "" if self._principal is None or self._principal.of_platform else self._principal.tenant
        self._parts.recorder.denied(method=self._method, code=reason, credential=self._credential, tenant=tenant)
