"""What each method of the contract asks of its caller, read from the options beside it."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor

from relais.api.access.v1 import permission_pb2
from relais.api.access.v1.permission_pb2 import Permission

_PREFIX = "PERMISSION_"

OPEN_TO_ALL = frozenset({"/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"})


class Scope(Enum):
    """What the requests of a method are about; see `relais.api.access.v1.Scope`."""

    TENANT = permission_pb2.SCOPE_UNSPECIFIED
    PLATFORM = permission_pb2.SCOPE_PLATFORM
    CREDENTIAL = permission_pb2.SCOPE_CREDENTIAL


@dataclass(frozen=True, slots=True)
class MethodRule:
    """One method: its full name (`/package.Service/Method`), the permission it needs (None: any valid credential), its scope.

    `unary` says that the request and the answer are single messages, so that the call must have a deadline; `named_by` is the
    field of the request that names the tenant, where the request is one message.
    """

    method: str
    permission: str | None
    scope: Scope
    unary: bool
    named_by: str


def rules_of(services: Iterable[ServiceDescriptor]) -> dict[str, MethodRule]:
    """The rules of all methods that name a permission; a method without one has no rule and so no entry."""
    rules = {}
    for service in services:
        for descriptor in service.methods:
            rule = _rule(service, descriptor)
            if rule is not None:
                rules[rule.method] = rule
    for method in OPEN_TO_ALL:
        rules[method] = MethodRule(method, None, Scope.CREDENTIAL, unary=False, named_by="")
    return rules


def permission_words() -> frozenset[str]:
    """Every permission as facts and files write it: without the prefix."""
    return frozenset(name.removeprefix(_PREFIX) for name, number in Permission.items() if number)


def permission_word(permission: "Permission.ValueType") -> str:
    """One permission as facts and files write it."""
    return Permission.Name(permission).removeprefix(_PREFIX)


def permission_value(word: str) -> "Permission.ValueType":
    """The permission that a word of a fact means. Raises `ValueError`."""
    return Permission.Value(_PREFIX + word)


def _rule(service: ServiceDescriptor, descriptor: MethodDescriptor) -> MethodRule | None:
    options = descriptor.GetOptions()
    permission = options.Extensions[permission_pb2.permission]
    if not permission:
        return None
    fields = descriptor.input_type.fields_by_name
    return MethodRule(
        method=f"/{service.full_name}/{descriptor.name}",
        permission=permission_word(permission),
        scope=Scope(options.Extensions[permission_pb2.scope]),
        unary=not descriptor.client_streaming and not descriptor.server_streaming,
        named_by="" if descriptor.client_streaming else next((name for name in ("name", "parent") if name in fields), ""),
    )
