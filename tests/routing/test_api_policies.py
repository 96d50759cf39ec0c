"""Attacks policies through the real gate: over another's head, repeated, refused alike when created and when validated."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from relais.api.routing.v1 import routing_admin_pb2 as pb
from relais.contracts.routing import PolicyActivated, PolicyCreated
from tests.identity.edge import SECONDS, TENANT, refusal
from tests.routing.counter import Counter, open_counter

EVERY_KIND = [
    pb.EndpointChoice(kind=kind, connector="https", endpoint="sink")
    for kind in (
        pb.DESTINATION_KIND_DMP,
        pb.DESTINATION_KIND_MSSANTE_PROFESSIONAL,
        pb.DESTINATION_KIND_MSSANTE_PATIENT,
        pb.DESTINATION_KIND_SOFTWARE,
    )
]


@pytest.fixture
async def counter(tmp_path: Path) -> AsyncIterator[Counter]:
    async with open_counter(tmp_path) as made:
        yield made


def draft(scope: str = "tenant", request_id: str = "", **fields: Any) -> pb.CreatePolicyRequest:
    return pb.CreatePolicyRequest(
        parent=TENANT, policy=pb.Policy(scope=scope, **{"endpoints": EVERY_KIND, **fields}), request_id=request_id
    )


def activation(policy: Any, etag: str | None = None) -> pb.ActivatePolicyRequest:
    return pb.ActivatePolicyRequest(name=policy.name, etag=policy.etag if etag is None else etag)


async def test_a_draft_is_created_validated_and_activated_as_facts(counter: Counter) -> None:
    stub = await counter.stub()
    created = await stub.CreatePolicy(draft(), timeout=SECONDS)
    assert (created.name, created.version, created.active, created.matrix) == (
        f"{TENANT}/policies/tenant/versions/1", 1, False, "2026-04-21",
    )  # fmt: skip
    activated = await stub.ActivatePolicy(activation(created), timeout=SECONDS)
    assert activated.active
    assert activated.etag != created.etag
    assert [type(fact) for fact in await counter.facts(PolicyCreated, PolicyActivated)] == [PolicyCreated, PolicyActivated]
    active = await stub.GetPolicy(pb.GetPolicyRequest(name=f"{TENANT}/policies/tenant/versions/-"), timeout=SECONDS)
    assert active == activated
    assert counter.rung == 2


async def test_two_administrators_at_once_cannot_both_activate(counter: Counter) -> None:
    stub = await counter.stub()
    first, second = await stub.CreatePolicy(draft(), timeout=SECONDS), await stub.CreatePolicy(draft(), timeout=SECONDS)
    await stub.ActivatePolicy(activation(first), timeout=SECONDS)
    assert (await refusal(stub.ActivatePolicy(activation(second), timeout=SECONDS)))[0] == "ETAG_MISMATCH"
    assert await refusal(stub.ActivatePolicy(activation(second, ""), timeout=SECONDS)) == ("FIELD_INVALID", ["etag"])


async def test_a_repeated_request_is_the_same_draft_and_another_under_its_id_is_refused(counter: Counter) -> None:
    stub, request_id = await counter.stub(), str(uuid4())
    first = await stub.CreatePolicy(draft(request_id=request_id), timeout=SECONDS)
    assert await stub.CreatePolicy(draft(request_id=request_id), timeout=SECONDS) == first
    assert len(await counter.facts(PolicyCreated)) == 1
    for other in (draft(request_id=request_id, insi_always=True), draft("site:site-a", request_id=request_id)):
        assert (await refusal(stub.CreatePolicy(other, timeout=SECONDS)))[0] == "REQUEST_ID_REUSED"
    assert await refusal(stub.CreatePolicy(draft(request_id="no"), timeout=SECONDS)) == ("FIELD_INVALID", ["request_id"])


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (draft("region:x"), "policy.scope"),
        (draft("site:site-z"), "policy.scope"),
        (draft("group:sud"), "policy.scope"),
        (draft(matrix="2020-01-01"), "policy.matrix"),
        (draft(endpoints=[pb.EndpointChoice(connector="https", endpoint="x")]), "policy.endpoints[0].kind"),
        (draft(endpoints=[pb.EndpointChoice(kind=pb.DESTINATION_KIND_DMP, connector="https")]), "policy.endpoints[0].endpoint"),
    ],
)
async def test_a_wrong_draft_is_refused_alike_when_created_and_when_validated(counter: Counter, request_: Any, field: str) -> None:
    stub = await counter.stub()
    assert await refusal(stub.CreatePolicy(request_, timeout=SECONDS)) == ("FIELD_INVALID", [field])
    asked = pb.ValidatePolicyRequest(parent=TENANT, policy=request_.policy)
    assert await refusal(stub.ValidatePolicy(asked, timeout=SECONDS)) == ("FIELD_INVALID", [field])
    assert await counter.log.head() == 0


async def test_validation_stores_nothing_and_warns(counter: Counter) -> None:
    stub = await counter.stub()
    partial = pb.Policy(scope="tenant", endpoints=EVERY_KIND[:3])
    answer = await stub.ValidatePolicy(pb.ValidatePolicyRequest(parent=TENANT, policy=partial), timeout=SECONDS)
    assert list(answer.warnings) == ["NO_ENDPOINT_SOFTWARE"]
    narrow = pb.Policy(scope="site:site-a", endpoints=EVERY_KIND[:1])
    answer = await stub.ValidatePolicy(pb.ValidatePolicyRequest(parent=TENANT, policy=narrow), timeout=SECONDS)
    assert list(answer.warnings) == []
    assert await counter.log.head() == 0


async def test_versions_are_listed_newest_first_in_pages_and_by_filter(counter: Counter) -> None:
    stub = await counter.stub()
    drafts = [await stub.CreatePolicy(draft(scope), timeout=SECONDS) for scope in ("tenant", "site:site-a", "tenant")]
    await stub.ActivatePolicy(activation(drafts[-1]), timeout=SECONDS)
    names, token = [], ""
    while True:
        page = await stub.ListPolicies(pb.ListPoliciesRequest(parent=TENANT, page_size=2, page_token=token), timeout=SECONDS)
        names += [(one.scope, one.version) for one in page.policies]
        token = page.next_page_token
        if not token:
            break
    assert names == [("site:site-a", 1), ("tenant", 2), ("tenant", 1)]
    active = await stub.ListPolicies(pb.ListPoliciesRequest(parent=TENANT, filter="active = true"), timeout=SECONDS)
    assert [(one.scope, one.version) for one in active.policies] == [("tenant", 2)]
    wrong = pb.ListPoliciesRequest(parent=TENANT, filter="active = maybe")
    assert (await refusal(stub.ListPolicies(wrong, timeout=SECONDS)))[0] == "FILTER_INVALID"


@pytest.mark.parametrize("version", ["9", "-", "one", "٣"])
async def test_a_version_that_does_not_exist_is_not_found(counter: Counter, version: str) -> None:
    name = f"{TENANT}/policies/tenant/versions/{version}"
    stub = await counter.stub()
    assert (await refusal(stub.GetPolicy(pb.GetPolicyRequest(name=name), timeout=SECONDS)))[0] == "RESOURCE_NOT_FOUND"
    assert (await refusal(stub.ActivatePolicy(pb.ActivatePolicyRequest(name=name, etag="x"), timeout=SECONDS)))[0] == "RESOURCE_NOT_FOUND"
