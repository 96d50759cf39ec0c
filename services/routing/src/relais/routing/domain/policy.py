"""What an administrator decides: policies, versioned within each scope, and the one that is effective for a site.

Scopes are `tenant`, `group:<group>` and `site:<site>`, each a stream of the routing log. The narrowest scope with an active
policy decides the matrix and its mode; endpoint choices are its own first, then the wider scopes', and the first that fits is taken.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, TypeAlias, assert_never

from relais.contracts.fact import Fact
from relais.contracts.routing import DestinationKind, EndpointChoice, Policy, PolicyActivated, PolicyCreated
from relais.decider import Decider
from relais.routing.domain.errors import Changed, Invalid, Unknown
from relais.routing.law.matrix import MATRICES, MODES, NEWEST

TENANT_SCOPE: Final = "tenant"
GROUP_PREFIX: Final = "group:"
SITE_PREFIX: Final = "site:"
STREAM_PREFIX: Final = "policy/"
ENDPOINTS_MAXIMUM: Final = 200
TYPE_CODES_MAXIMUM: Final = 200
VERSIONS_MAXIMUM: Final = 1000
NO_ENDPOINT: Final = "NO_ENDPOINT_"

_SCOPE: Final = re.compile(r"tenant|(?:group|site):[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_TYPE_CODE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,31}")


@dataclass(frozen=True, slots=True)
class CreatePolicy:
    """Create the next draft of a scope."""

    scope: str
    policy: Policy


@dataclass(frozen=True, slots=True)
class ActivatePolicy:
    """Let a version decide from now on, if nobody activated another since `etag` was read."""

    scope: str
    version: int
    etag: str


Command: TypeAlias = CreatePolicy | ActivatePolicy


@dataclass(frozen=True, slots=True)
class ScopeState:
    """One scope: its versions, the active one, and how often one was activated."""

    versions: Mapping[int, Policy] = field(default_factory=dict)
    active: int | None = None
    activations: int = 0
    version: int = 0

    @property
    def etag(self) -> str:
        """Changes whenever any version of the scope is activated."""
        return f"{self.activations}-{self.active or 0}"


@dataclass(frozen=True, slots=True)
class EffectivePolicy:
    """The policy that decides for one site: the narrowest active scope with its version, and the wider ones that take part."""

    scope: str
    version: int
    inherited: tuple[str, ...]
    endpoints: tuple[EndpointChoice, ...]
    matrix: str
    matrix_mode: str

    def endpoint_for(self, kind: DestinationKind, type_code: str) -> EndpointChoice | None:
        """The first choice that fits a kind of destination and a type of document."""
        for choice in self.endpoints:
            if choice.kind is kind and (not choice.type_codes or type_code in choice.type_codes):
                return choice
        return None


def scopes_of(site: str, group: str) -> tuple[str, ...]:
    """The scopes that may decide for a site, narrowest first; `group` is empty where it belongs to none."""
    group_scope = (f"{GROUP_PREFIX}{group}",) if group else ()
    return (f"{SITE_PREFIX}{site}", *group_scope, TENANT_SCOPE)


def stream_of(scope: str) -> str:
    """The stream of a scope, within its tenant."""
    return f"{STREAM_PREFIX}{scope}"


def effective(states: Sequence[tuple[str, ScopeState]]) -> EffectivePolicy | None:
    """Merge the active policies of these scopes, narrowest first; None where none is active."""
    active = [(scope, state.active, state.versions[state.active]) for scope, state in states if state.active is not None]
    if not active:
        return None
    scope, version, narrowest = active[0]
    return EffectivePolicy(
        scope=scope,
        version=version,
        inherited=tuple(f"{wider}@{number}" for wider, number, _ in active[1:]),
        endpoints=tuple(choice for _, _, policy in active for choice in policy.endpoints),
        matrix=narrowest.matrix or NEWEST,
        matrix_mode=narrowest.matrix_mode,
    )


def decide(command: Command, state: ScopeState) -> Sequence[Fact]:
    """The facts of one command; to activate the active version is nothing. Raises a `RoutingRefusal`."""
    match command:
        case CreatePolicy():
            validate(command.scope, command.policy)
            if len(state.versions) >= VERSIONS_MAXIMUM:
                raise Invalid("scope")
            return (PolicyCreated(scope=command.scope, version=len(state.versions) + 1, policy=command.policy),)
        case ActivatePolicy():
            policy = state.versions.get(command.version)
            if policy is None:
                raise Unknown("name")
            if command.etag != state.etag:
                raise Changed("etag")
            if state.active == command.version:
                return ()
            return (PolicyActivated(scope=command.scope, version=command.version, policy=policy),)
        case _:
            assert_never(command)


def evolve(state: ScopeState, fact: Fact) -> ScopeState:
    """Fold one fact of a scope's stream."""
    match fact:
        case PolicyCreated():
            versions = {**state.versions, fact.version: fact.policy}
            return ScopeState(versions, state.active, state.activations, state.version + 1)
        case PolicyActivated():
            versions = {**state.versions, fact.version: fact.policy}
            return ScopeState(versions, fact.version, state.activations + 1, state.version + 1)
        case _:
            return ScopeState(state.versions, state.active, state.activations, state.version + 1)


def validate(scope: str, policy: Policy) -> None:
    """Check a draft. Raises `Invalid` naming the first field that is wrong."""
    if _SCOPE.fullmatch(scope) is None:
        raise Invalid("scope")
    if policy.matrix_mode not in MODES:
        raise Invalid("matrix_mode")
    if policy.matrix and policy.matrix not in MATRICES:
        raise Invalid("matrix")
    if len(policy.endpoints) > ENDPOINTS_MAXIMUM:
        raise Invalid("endpoints")
    for index, choice in enumerate(policy.endpoints):
        if _NAME.fullmatch(choice.connector) is None:
            raise Invalid(f"endpoints[{index}].connector")
        if _NAME.fullmatch(choice.endpoint) is None:
            raise Invalid(f"endpoints[{index}].endpoint")
        codes = choice.type_codes
        if len(codes) > TYPE_CODES_MAXIMUM or any(_TYPE_CODE.fullmatch(code) is None for code in codes):
            raise Invalid(f"endpoints[{index}].type_codes")


def warnings(policy: Policy) -> Iterable[str]:
    """What an administrator should know before activating, as words."""
    for kind in DestinationKind:
        if not any(choice.kind is kind for choice in policy.endpoints):
            yield f"{NO_ENDPOINT}{kind.name}"
    caught: set[DestinationKind] = set()
    for index, choice in enumerate(policy.endpoints):
        if choice.kind in caught:
            yield f"NEVER_REACHED_ENDPOINT_{index}"
        if not choice.type_codes:
            caught.add(choice.kind)
    if policy.matrix and policy.matrix != NEWEST:
        yield "MATRIX_IS_NOT_THE_NEWEST"


SCOPE: Final[Decider[Command, ScopeState, Fact]] = Decider(initial=ScopeState(versions=MappingProxyType({})), decide=decide, evolve=evolve)
