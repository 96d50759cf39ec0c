"""Walks every method of a running server and calls it as nobody, as a stranger, without permission, and from another tenant.

What there is to walk is asked of the server itself, by reflection, so that a method added tomorrow is walked tomorrow. Nothing
of the server's own code is used: the walk would also find a hole in the gate.
"""

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from typing import Any

import grpc
import grpc.aio
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.descriptor import FieldDescriptor, MethodDescriptor
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from relais.testing.certificates import Identity, TestAuthority

REFLECTION = "grpc.reflection.v1alpha.ServerReflection"
CALL_SECONDS = 5.0
DEPTH_MAXIMUM = 2
DETAILS_TRAILER = "grpc-status-details-bin"
WRITE_FAILED = "Internal error from Core"
WRITES_MAXIMUM = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Walkers:
    """Who walks. `anyone` is a registered credential; `powerless` one of `tenant` without any permission; `foreign` one of another
    tenant with all of them; `stranger` has a good certificate that nobody registered. Without a token port nobody cannot even connect.
    """

    authority: TestAuthority
    port: int
    token_port: int | None
    tenant: str
    anyone: Identity
    powerless: Identity
    foreign: Identity
    stranger: Identity


class AccessHole(AssertionError):
    """At least one method answered somebody whom it should have refused, or refused in another way than promised."""


@dataclass(frozen=True, slots=True)
class Answer:
    """How a call ended: its status code and the reason of its ErrorInfo."""

    code: grpc.StatusCode
    reason: str = ""


async def walk_access(walkers: Walkers, existing: Iterable[str] = ()) -> list[str]:
    """Walk; the methods walked. `existing` are names of resources of `tenant` that exist: they must be refused as those that do not.

    Raises:
        AccessHole: with one line for each wrong answer.
    """
    async with walkers.authority.channel(walkers.port, walkers.anyone) as channel:
        methods = await methods_of(channel)
    names = [f"tenants/{walkers.tenant}/documents/00000000-0000-8000-8000-000000000000", f"tenants/{walkers.tenant}", *existing]
    holes: list[str] = []
    for method in methods:
        holes += [f"{_path(method)} {hole}" for hole in await _walk(walkers, method, names)]
        if not _permission(method):
            holes.append(f"{_path(method)} names no permission")
    if holes:
        raise AccessHole("\n".join(holes))
    return [_path(method) for method in methods]


async def methods_of(channel: grpc.aio.Channel) -> list[MethodDescriptor]:
    """Every method that the server says it has, reflection apart."""
    stub = reflection_pb2_grpc.ServerReflectionStub(channel)
    listed = await _ask(stub, reflection_pb2.ServerReflectionRequest(list_services=""))
    services = [service.name for service in listed.list_services_response.service if service.name != REFLECTION]
    pool = descriptor_pool.DescriptorPool()
    for service in services:
        found = await _ask(stub, reflection_pb2.ServerReflectionRequest(file_containing_symbol=service))
        files = {}
        for content in found.file_descriptor_response.file_descriptor_proto:
            file = descriptor_pb2.FileDescriptorProto.FromString(content)
            files[file.name] = file
        _add(pool, files)
    return [method for service in services for method in pool.FindServiceByName(service).methods]


def _add(pool: descriptor_pool.DescriptorPool, files: dict[str, descriptor_pb2.FileDescriptorProto]) -> None:
    added: set[str] = set()

    def add(name: str) -> None:
        if name in added or name not in files:
            return
        added.add(name)
        for needed in files[name].dependency:
            add(needed)
        pool.Add(files[name])

    for name in files:
        add(name)


async def _walk(walkers: Walkers, method: MethodDescriptor, names: list[str]) -> list[str]:
    holes = []
    unauthenticated = grpc.StatusCode.UNAUTHENTICATED
    denied = grpc.StatusCode.PERMISSION_DENIED
    expected = [
        ("a stranger", walkers.port, walkers.stranger, [Answer(unauthenticated, "CREDENTIAL_UNKNOWN")]),
        ("somebody without permission", walkers.port, walkers.powerless, [Answer(denied, "PERMISSION_MISSING")]),
        ("nobody", walkers.port, None, [Answer(grpc.StatusCode.UNAVAILABLE)]),
    ]
    if walkers.token_port is not None:
        expected.append(("nobody with TLS alone", walkers.token_port, None, [Answer(unauthenticated, "CREDENTIAL_MISSING")]))
    for who, port, identity, wanted in expected:
        answer = await call(walkers.authority.channel(port, identity), method, names[0])
        if answer not in wanted:
            holes.append(f"answered {who} with {answer.code.name} {answer.reason}")
    for name in names:
        answer = await call(walkers.authority.channel(walkers.port, walkers.foreign), method, name)
        if answer != Answer(denied, "RESOURCE_FOREIGN"):
            holes.append(f"answered another tenant about {name} with {answer.code.name} {answer.reason}")
    return holes


async def call(channel: grpc.aio.Channel, method: MethodDescriptor, name: str) -> Answer:
    """Call a method about a resource of this name; closes the channel. A status inside an answer counts like one of the call."""
    request = message_factory.GetMessageClass(method.input_type)()
    _name_everywhere(request, name, 0 if not method.client_streaming else DEPTH_MAXIMUM)
    response = message_factory.GetMessageClass(method.output_type)
    kind = ("stream" if method.client_streaming else "unary") + "_" + ("stream" if method.server_streaming else "unary")
    async with channel:
        invoke: Any = getattr(channel, kind)(
            _path(method), request_serializer=type(request).SerializeToString, response_deserializer=response.FromString
        )
        for _ in range(WRITES_MAXIMUM):
            answer = await _answer(invoke, method, request)
            if answer is not None:
                return answer
    return Answer(grpc.StatusCode.INTERNAL)


async def _answer(invoke: Any, method: MethodDescriptor, request: Message) -> Answer | None:
    """How one call ended; None when it was refused while its request was being written, of which grpc only says that the write failed."""
    try:
        called = invoke(_once(request) if method.client_streaming else request, timeout=CALL_SECONDS)
        if not method.server_streaming:
            return _inner(await called)
        async for answer in called:
            return _inner(answer)
    except grpc.aio.AioRpcError as error:
        return None if error.details() == WRITE_FAILED else _outer(error)
    return Answer(grpc.StatusCode.OK)


async def _once(request: Message) -> AsyncIterator[Message]:
    yield request


async def _ask(stub: Any, request: reflection_pb2.ServerReflectionRequest) -> Any:
    async for response in stub.ServerReflectionInfo(iter([request]), timeout=CALL_SECONDS):
        return response
    raise AccessHole("the server reflects nothing")


def _name_everywhere(message: Message, name: str, depth: int) -> None:
    """Set `name` or `parent`, in a message that streams also inside its first frame."""
    for field in message.DESCRIPTOR.fields:
        if field.type == FieldDescriptor.TYPE_STRING and field.name in {"name", "parent"} and not field.is_repeated:
            setattr(message, field.name, name)
        elif field.type == FieldDescriptor.TYPE_MESSAGE and depth and not field.is_repeated and field.name in {"start", "request"}:
            getattr(message, field.name).SetInParent()
            _name_everywhere(getattr(message, field.name), name, depth - 1)


def _inner(answer: Message) -> Answer:
    for field, value in answer.ListFields():
        if field.message_type is not None and field.message_type.full_name == "google.rpc.Status":
            return _told(status_pb2.Status.FromString(value.SerializeToString()))
    return Answer(grpc.StatusCode.OK)


def _outer(error: grpc.aio.AioRpcError) -> Answer:
    trailers: Any = error.trailing_metadata() or ()
    for key, value in trailers:
        if key == DETAILS_TRAILER:
            return _told(status_pb2.Status.FromString(value))
    return Answer(error.code())


def _told(status: status_pb2.Status) -> Answer:
    info = error_details_pb2.ErrorInfo()
    reason = next((info.reason for detail in status.details if detail.Unpack(info)), "")
    code = next(code for code in grpc.StatusCode if code.value[0] == status.code)
    return Answer(code, reason)


def _permission(method: MethodDescriptor) -> int:
    """The method's permission option, read with nothing but what the server reflected."""
    pool = method.containing_service.file.pool
    options: Any = message_factory.GetMessageClass(pool.FindMessageTypeByName("google.protobuf.MethodOptions"))()
    options.ParseFromString(method.GetOptions().SerializeToString())
    try:
        return int(options.Extensions[pool.FindExtensionByName("relais.api.access.v1.permission")])
    except KeyError:
        return 0


def _path(method: MethodDescriptor) -> str:
    return f"/{method.containing_service.full_name}/{method.name}"
