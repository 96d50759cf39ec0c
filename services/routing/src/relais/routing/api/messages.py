"""Between routing's own words and the messages of the contract."""

from datetime import datetime
from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp

from relais.api.routing.v1 import routing_admin_pb2 as pb
from relais.chassis.api.errors import FieldsInvalid, FieldViolation
from relais.chassis.api.names import document_name, tenant_name
from relais.contracts.routing import DestinationKind, EndpointChoice, Policy
from relais.routing.domain.explanation import ExplainedDestination, Explanation
from relais.routing.held_desk import HeldDocument
from relais.routing.law.matrix import LENIENT, NEWEST, STRICT
from relais.routing.policy_desk import PolicyVersion
from relais.routing.ports import HeldRow

_KIND_PREFIX: Final = "DESTINATION_KIND_"
_MODES: Final = {
    pb.Policy.MATRIX_MODE_UNSPECIFIED: STRICT,
    pb.Policy.MATRIX_MODE_STRICT: STRICT,
    pb.Policy.MATRIX_MODE_LENIENT: LENIENT,
}
_MODE_NUMBERS: Final = {STRICT: pb.Policy.MATRIX_MODE_STRICT, LENIENT: pb.Policy.MATRIX_MODE_LENIENT}


def policy_of(message: pb.Policy) -> Policy:
    """The policy that a message asks for. Raises `FieldsInvalid` for a kind or mode that is not one."""
    if message.matrix_mode not in _MODES:
        raise FieldsInvalid([FieldViolation("policy.matrix_mode")])
    return Policy(
        endpoints=tuple(_choice(choice, index) for index, choice in enumerate(message.endpoints)),
        matrix_mode=_MODES[message.matrix_mode],
        matrix=message.matrix or NEWEST,
        insi_always=message.insi_always,
    )


def policy_message(tenant: str, version: PolicyVersion) -> pb.Policy:
    """One version of a policy."""
    policy = version.policy
    return pb.Policy(
        name=policy_name(tenant, version.scope, version.version),
        scope=version.scope,
        version=version.version,
        active=version.active,
        endpoints=[
            pb.EndpointChoice(kind=kind_number(one.kind), connector=one.connector, endpoint=one.endpoint, type_codes=one.type_codes)
            for one in policy.endpoints
        ],
        matrix_mode=_MODE_NUMBERS[policy.matrix_mode],
        matrix=policy.matrix,
        insi_always=policy.insi_always,
        etag=version.etag,
        create_time=timestamp(version.created_at),
    )


def policy_name(tenant: str, scope: str, version: int) -> str:
    """`tenants/{tenant}/policies/{scope}/versions/{version}`."""
    return f"{tenant_name(tenant)}/policies/{scope}/versions/{version}"


def explanation_message(tenant: str, told: Explanation, decided_at: datetime | None) -> pb.ExplainRouteResponse:
    """A decision and what it rests on."""
    return pb.ExplainRouteResponse(
        destinations=[_destination(one) for one in told.destinations],
        hold_reasons=[reason.value for reason in told.hold_reasons],
        hold_rules=told.hold_rules,
        policy=policy_name(tenant, told.policy, told.policy_version) if told.policy else "",
        matrix=told.matrix,
        decide_time=timestamp(decided_at) if decided_at is not None else None,
    )


def held_message(found: HeldDocument) -> pb.HeldDocument:
    """A document that waits or waited."""
    return pb.HeldDocument(
        name=document_name(found.tenant, found.document),
        held=found.held,
        site=found.site,
        type_code=found.type_code,
        reasons=found.reasons,
        rules=found.rules,
        hold_time=timestamp(found.held_at),
        etag=found.etag,
    )


def row_message(row: HeldRow) -> pb.HeldDocument:
    """A document of the list of what waits."""
    return pb.HeldDocument(
        name=document_name(row.tenant, row.document),
        held=True,
        site=row.site,
        type_code=row.type_code,
        reasons=row.reasons,
        rules=row.rules,
        hold_time=timestamp(row.held_at),
        etag=row.etag,
    )


def kind_number(kind: DestinationKind) -> "pb.DestinationKind.ValueType":
    """A kind of destination as the contract numbers it."""
    return pb.DestinationKind.Value(f"{_KIND_PREFIX}{kind.name}")


def timestamp(at: datetime) -> Timestamp:
    """A time as it is sent."""
    message = Timestamp()
    message.FromDatetime(at)
    return message


def _choice(choice: pb.EndpointChoice, index: int) -> EndpointChoice:
    try:
        kind = DestinationKind[pb.DestinationKind.Name(choice.kind).removeprefix(_KIND_PREFIX)]
    except (KeyError, ValueError):
        raise FieldsInvalid([FieldViolation(f"policy.endpoints[{index}].kind")]) from None
    return EndpointChoice(kind=kind, connector=choice.connector, endpoint=choice.endpoint, type_codes=tuple(choice.type_codes))


def _destination(one: ExplainedDestination) -> pb.ExplainedDestination:
    message = pb.ExplainedDestination(
        kind=kind_number(one.kind),
        planned=one.planned,
        connector=one.connector,
        endpoint=one.endpoint,
        rule=one.rule,
        suppress_reason=one.reason.value if one.reason is not None else "",
    )
    if one.ordinal is not None:
        message.ordinal = one.ordinal
    if one.recipient is not None:
        message.recipient = one.recipient
    return message
