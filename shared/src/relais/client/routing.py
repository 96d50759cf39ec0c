"""Policies, and why a document goes where it goes."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import grpc

from relais.api.ingestion.v1 import submission_pb2
from relais.api.routing.v1 import routing_admin_pb2 as wire
from relais.api.routing.v1.routing_admin_pb2_grpc import RoutingAdminServiceStub
from relais.client.calls import Calls
from relais.client.document_messages import flags_message
from relais.client.pages import PAGE_SIZE, pages
from relais.client.words import moment, name_of, number, word
from relais.contracts.submission import Flags, InsStatus, Opposition, RecipientKind

_KINDS = wire.DestinationKind.DESCRIPTOR
_MODES = wire.Policy.MatrixMode.DESCRIPTOR


@dataclass(frozen=True, kw_only=True)
class EndpointChoice:
    """Which connector and endpoint carry one kind of destination: DMP, MSSANTE_PROFESSIONAL, MSSANTE_PATIENT or SOFTWARE."""

    kind: str
    connector: str
    endpoint: str
    type_codes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class NewPolicy:
    """What an administrator decides for a scope (`tenant`, `group:{group}`, `site:{site}`). `matrix_mode` is STRICT or LENIENT."""

    scope: str
    endpoints: tuple[EndpointChoice, ...]
    matrix_mode: str = "STRICT"
    matrix: str = ""
    insi_always: bool = False


@dataclass(frozen=True, kw_only=True)
class Policy:
    """One version of a policy as the platform keeps it; `etag` is needed to activate a version of its scope."""

    name: str
    version: int
    active: bool
    etag: str
    created_at: datetime | None
    content: NewPolicy


@dataclass(frozen=True, kw_only=True)
class RouteCase:
    """A made-up case: everything that a decision depends on, and nobody's data."""

    site: str
    flags: Flags
    type_code: str
    ins_status: InsStatus
    opposition: Opposition = Opposition.UNKNOWN
    confidentiality: str = "N"
    recipients: tuple[RecipientKind, ...] = ()
    patient_age_years: int | None = None


@dataclass(frozen=True, kw_only=True)
class ExplainedDestination:
    """One destination that was considered, and the rule that decided about it."""

    kind: str
    planned: bool
    ordinal: int | None
    connector: str
    endpoint: str
    rule: str
    suppress_reason: str
    recipient: int | None


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """A decision and what it rests on; `decided_at` is None for a made-up case."""

    destinations: tuple[ExplainedDestination, ...]
    hold_reasons: tuple[str, ...]
    hold_rules: tuple[str, ...]
    policy: str
    matrix: str
    decided_at: datetime | None


class Routing:
    """The routing service, without its held documents (`held.py`)."""

    def __init__(self, channel: grpc.aio.Channel, calls: Calls, parent: str) -> None:
        self._stub = RoutingAdminServiceStub(channel)
        self._calls = calls
        self._parent = parent

    async def explain(self, document: str) -> Explanation:
        """Why a document went where it went: the recorded decision."""
        request = wire.ExplainRouteRequest(parent=self._parent, document=name_of(self._parent, "documents", document))
        return _explanation(await self._calls.repeated(self._stub.ExplainRoute, request))

    async def explain_case(self, case: RouteCase) -> Explanation:
        """What would be decided now for a made-up case."""
        message = wire.RouteCase(
            site=case.site,
            flags=flags_message(case.flags),
            type_code=case.type_code,
            ins_status=number(submission_pb2.InsStatus.DESCRIPTOR, case.ins_status),
            dmp_feeding_opposition=number(submission_pb2.Opposition.DESCRIPTOR, case.opposition),
            confidentiality=case.confidentiality,
            recipients=[number(submission_pb2.RecipientKind.DESCRIPTOR, kind) for kind in case.recipients],
            patient_age_years=case.patient_age_years,
        )
        request = wire.ExplainRouteRequest(parent=self._parent, dry_run=message)
        return _explanation(await self._calls.repeated(self._stub.ExplainRoute, request))

    async def create_policy(self, policy: NewPolicy, request_id: str) -> Policy:
        """A draft, which decides nothing until it is activated. The same `request_id` (a UUID) gives the same draft."""
        request = wire.CreatePolicyRequest(parent=self._parent, policy=_policy_message(policy), request_id=request_id)
        return _policy(await self._calls.repeated(self._stub.CreatePolicy, request))

    async def validate_policy(self, policy: NewPolicy) -> tuple[str, ...]:
        """What an administrator should know before activating; raises what `create_policy` would."""
        request = wire.ValidatePolicyRequest(parent=self._parent, policy=_policy_message(policy))
        return tuple((await self._calls.repeated(self._stub.ValidatePolicy, request)).warnings)

    async def activate_policy(self, name: str, etag: str) -> Policy:
        """Let a version decide from now on. Made once: after a lost answer, read the policy to see what became of it."""
        return _policy(await self._calls.once(self._stub.ActivatePolicy, wire.ActivatePolicyRequest(name=name, etag=etag)))

    async def get_policy(self, scope: str, version: int | None = None) -> Policy:
        """A version of a scope's policy; None is the active one."""
        name = f"{self._parent}/policies/{scope}/versions/{'-' if version is None else version}"
        return _policy(await self._calls.repeated(self._stub.GetPolicy, wire.GetPolicyRequest(name=name)))

    async def policies(self, matching: str = "", *, limit: int = PAGE_SIZE) -> AsyncIterator[Policy]:
        """The versions of the tenant's policies, newest first in each scope."""

        async def fetch(size: int, token: str) -> tuple[Sequence[wire.Policy], str]:
            request = wire.ListPoliciesRequest(parent=self._parent, page_size=size, page_token=token, filter=matching)
            page = await self._calls.repeated(self._stub.ListPolicies, request)
            return page.policies, page.next_page_token

        async for message in pages(fetch, limit):
            yield _policy(message)


def _policy_message(policy: NewPolicy) -> wire.Policy:
    return wire.Policy(
        scope=policy.scope,
        endpoints=[
            wire.EndpointChoice(
                kind=number(_KINDS, choice.kind), connector=choice.connector, endpoint=choice.endpoint, type_codes=choice.type_codes
            )
            for choice in policy.endpoints
        ],
        matrix_mode=number(_MODES, policy.matrix_mode),
        matrix=policy.matrix,
        insi_always=policy.insi_always,
    )


def _policy(message: wire.Policy) -> Policy:
    return Policy(
        name=message.name,
        version=message.version,
        active=message.active,
        etag=message.etag,
        created_at=moment(message.create_time),
        content=NewPolicy(
            scope=message.scope,
            endpoints=tuple(
                EndpointChoice(
                    kind=word(_KINDS, choice.kind),
                    connector=choice.connector,
                    endpoint=choice.endpoint,
                    type_codes=tuple(choice.type_codes),
                )
                for choice in message.endpoints
            ),
            matrix_mode=word(_MODES, message.matrix_mode),
            matrix=message.matrix,
            insi_always=message.insi_always,
        ),
    )


def _explanation(message: wire.ExplainRouteResponse) -> Explanation:
    return Explanation(
        destinations=tuple(
            ExplainedDestination(
                kind=word(_KINDS, each.kind),
                planned=each.planned,
                ordinal=each.ordinal if each.HasField("ordinal") else None,
                connector=each.connector,
                endpoint=each.endpoint,
                rule=each.rule,
                suppress_reason=each.suppress_reason,
                recipient=each.recipient if each.HasField("recipient") else None,
            )
            for each in message.destinations
        ),
        hold_reasons=tuple(message.hold_reasons),
        hold_rules=tuple(message.hold_rules),
        policy=message.policy,
        matrix=message.matrix,
        decided_at=moment(message.decide_time),
    )
