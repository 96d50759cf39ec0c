"""Attacks policies: wrong fields by name, activation over another's head, and which scope decides."""

from typing import Any

import msgspec
import pytest

from relais.contracts.routing import DestinationKind, EndpointChoice, Policy, PolicyActivated, PolicyCreated
from relais.routing.domain.errors import Changed, Invalid, Unknown
from relais.routing.domain.policy import (
    SCOPE,
    ActivatePolicy,
    CreatePolicy,
    ScopeState,
    scopes_of,
    stream_of,
    warnings,
)
from tests.routing.given import EVERYTHING, policy_of

DMP = DestinationKind.DMP


def choice(endpoint: str, kind: DestinationKind = DMP, *codes: str) -> EndpointChoice:
    return EndpointChoice(kind=kind, connector="https", endpoint=endpoint, type_codes=codes)


def after(*commands: CreatePolicy | ActivatePolicy) -> ScopeState:
    state = SCOPE.initial
    for command in commands:
        state = SCOPE.fold(SCOPE.decide(command, state), state)
    return state


def test_versions_count_from_one_in_each_scope() -> None:
    state = after(CreatePolicy("tenant", EVERYTHING))
    (fact,) = SCOPE.decide(CreatePolicy("tenant", EVERYTHING), state)
    assert fact == PolicyCreated(scope="tenant", version=2, policy=EVERYTHING)


def test_a_draft_decides_nothing_until_it_is_activated() -> None:
    state = after(CreatePolicy("tenant", EVERYTHING))
    assert state.active is None
    (fact,) = SCOPE.decide(ActivatePolicy("tenant", 1, state.etag), state)
    assert fact == PolicyActivated(scope="tenant", version=1, policy=EVERYTHING)


def test_an_activation_over_anothers_head_is_refused() -> None:
    state = after(CreatePolicy("tenant", EVERYTHING), CreatePolicy("tenant", EVERYTHING))
    seen = state.etag
    state = SCOPE.fold(SCOPE.decide(ActivatePolicy("tenant", 1, seen), state), state)
    with pytest.raises(Changed):
        SCOPE.decide(ActivatePolicy("tenant", 2, seen), state)
    assert len(SCOPE.decide(ActivatePolicy("tenant", 2, state.etag), state)) == 1


def test_going_back_to_an_earlier_version_is_an_activation_and_changes_the_etag() -> None:
    state = after(CreatePolicy("tenant", EVERYTHING), CreatePolicy("tenant", EVERYTHING))
    etags = set()
    for version in (1, 2, 1):
        state = SCOPE.fold(SCOPE.decide(ActivatePolicy("tenant", version, state.etag), state), state)
        etags.add(state.etag)
    assert len(etags) == 3
    assert state.active == 1


def test_activating_the_active_version_is_nothing_and_an_unknown_one_is_refused() -> None:
    state = after(CreatePolicy("tenant", EVERYTHING))
    state = SCOPE.fold(SCOPE.decide(ActivatePolicy("tenant", 1, state.etag), state), state)
    assert SCOPE.decide(ActivatePolicy("tenant", 1, state.etag), state) == ()
    with pytest.raises(Unknown):
        SCOPE.decide(ActivatePolicy("tenant", 9, state.etag), state)


@pytest.mark.parametrize(
    ("scope", "changes", "field"),
    [
        ("", {}, "scope"),
        ("site:", {}, "scope"),
        ("region:nord", {}, "scope"),
        ("tenant", {"matrix_mode": "loose"}, "matrix_mode"),
        ("tenant", {"matrix": "2019-01-01"}, "matrix"),
        ("tenant", {"endpoints": (choice("e"),) * 201}, "endpoints"),
        ("tenant", {"endpoints": (choice("e"), choice(""))}, "endpoints[1].endpoint"),
        ("tenant", {"endpoints": (choice("https://x/"),)}, "endpoints[0].endpoint"),
        ("tenant", {"endpoints": (msgspec.structs.replace(choice("e"), connector="HTTPS"),)}, "endpoints[0].connector"),
        ("tenant", {"endpoints": (choice("e", DMP, "11502-2", "a b"),)}, "endpoints[0].type_codes"),
    ],
)
def test_a_wrong_field_is_refused_by_name(scope: str, changes: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as refusal:
        SCOPE.decide(CreatePolicy(scope, msgspec.structs.replace(EVERYTHING, **changes)), SCOPE.initial)
    assert refusal.value.field == field


def test_the_narrowest_active_scope_decides_the_matrix_and_the_wider_ones_add_endpoints() -> None:
    site = Policy(endpoints=(choice("site-dmp"),), matrix_mode="lenient")
    merged = policy_of(("site:site-a", site), ("group:nord", Policy(matrix="2024-02-29")), ("tenant", EVERYTHING))
    assert merged is not None
    assert (merged.scope, merged.version, merged.matrix_mode, merged.matrix) == ("site:site-a", 1, "lenient", "2026-04-21")
    assert merged.inherited == ("group:nord@1", "tenant@1")
    found = merged.endpoint_for(DMP, "11502-2")
    wider = merged.endpoint_for(DestinationKind.SOFTWARE, "11502-2")
    assert found is not None
    assert wider is not None
    assert (found.endpoint, wider.endpoint) == ("site-dmp", "sink-software")


def test_an_inactive_scope_takes_no_part() -> None:
    assert policy_of() is None
    site = Policy(endpoints=(choice("site-dmp"),))
    assert policy_of(("site:a", site)) is not None
    assert scopes_of("a", "nord") == ("site:a", "group:nord", "tenant")
    assert scopes_of("a", "") == ("site:a", "tenant")
    assert stream_of("site:a") == "policy/site:a"


def test_the_first_choice_that_fits_the_type_is_taken() -> None:
    policy = policy_of(("tenant", Policy(endpoints=(choice("bio", DMP, "11502-2"), choice("rest")))))
    assert policy is not None
    for code, endpoint in (("11502-2", "bio"), ("18748-4", "rest")):
        found = policy.endpoint_for(DMP, code)
        assert found is not None
        assert found.endpoint == endpoint
    assert policy.endpoint_for(DestinationKind.SOFTWARE, "11502-2") is None


def test_an_empty_matrix_means_the_newest() -> None:
    policy = policy_of(("tenant", Policy(matrix="")))
    assert policy is not None
    assert policy.matrix == "2026-04-21"


def test_warnings_say_what_will_be_suppressed_and_what_is_never_reached() -> None:
    partial = Policy(endpoints=(choice("all"), choice("late", DMP, "11502-2")), matrix="2024-02-29")
    assert set(warnings(partial)) == {
        "NO_ENDPOINT_MSSANTE_PROFESSIONAL",
        "NO_ENDPOINT_MSSANTE_PATIENT",
        "NO_ENDPOINT_SOFTWARE",
        "NEVER_REACHED_ENDPOINT_1",
        "MATRIX_IS_NOT_THE_NEWEST",
    }
    assert list(warnings(EVERYTHING)) == []
