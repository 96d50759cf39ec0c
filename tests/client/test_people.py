"""What people do through the client: register, look at what is held, decide, explain, mend deliveries."""

from uuid import uuid4

import pytest

from relais.client.client import RelaisClient
from relais.client.errors import Conflict, NotFound
from relais.client.registry import Credential, Group, Sender, Site, Tenant, permissions
from relais.client.routing import EndpointChoice, NewPolicy, RouteCase
from relais.contracts.submission import InsStatus, RecipientKind
from tests.client.given import BODY, CANARY, FLAGS, submission
from tests.client.platform_admin import HELD
from tests.client.platform_server import Platform


async def test_a_hospital_is_registered_and_may_send_at_once(client: RelaisClient) -> None:
    tenant = await client.registry.register_tenant(Tenant(tenant="north", display="GHT Nord"))
    group = await client.registry.register_group(Group(group="g", display="Groupe"))
    site = await client.registry.register_site(Site(site="site-new", group="g", finess_eg="590000001", zone="Indian/Reunion"))
    sender = await client.registry.register_sender(Sender(sender="his", sites=("site-new",)))
    receipt = await client.documents.submit(submission(site="site-new"), BODY)
    assert receipt.tenant_sequence == 1
    assert (await client.registry.tenants(), await client.registry.groups()) == ([tenant], [group])
    assert (await client.registry.sites(), await client.registry.senders()) == ([site], [sender])


@pytest.mark.parametrize("name", ["x509:" + "ab" * 32, "jwt:https://issuer.example/realm%20a:operator"])
async def test_a_credential_is_the_same_after_its_way_through_a_resource_name(client: RelaisClient, platform: Platform, name: str) -> None:
    credential = Credential(credential=name, permissions=("DOCUMENT_SUBMIT", "DOCUMENT_READ"), sender="his")
    assert await client.registry.register_credential(credential) == credential
    [kept] = platform.registry.kept
    assert kept.count("/") == 3
    assert await client.registry.credentials() == [credential]
    assert (await client.registry.revoke_credential(name, "left")).revoked


async def test_a_permission_that_does_not_exist_is_not_sent(client: RelaisClient, platform: Platform) -> None:
    assert "UNSPECIFIED" not in permissions()
    with pytest.raises(ValueError, match="no value"):
        await client.registry.register_credential(Credential(credential="x509:00", permissions=("EVERYTHING",)))
    assert platform.state.calls == []


async def test_a_credential_that_is_not_there_cannot_be_revoked(client: RelaisClient) -> None:
    with pytest.raises(NotFound):
        await client.registry.revoke_credential("x509:00", "left")


async def test_a_held_document_is_looked_at_and_released_once(client: RelaisClient, platform: Platform) -> None:
    [held] = [each async for each in client.held_by_identity.list()]
    assert (held.by, held.state, held.reasons, held.details) == ("identity", "HELD", ("IDENTITY_DISAGREES",), ("birth_date",))
    comparisons = await client.held_by_identity.evidence(held.name, "call from the ward")
    assert [(each.field, each.agrees) for each in comparisons] == [("birth_date", False), ("sex", True)]
    assert "19750101" not in repr(comparisons)
    released = await client.held_by_identity.release(held.name, InsStatus.VALIDEE, "checked by telephone", held.etag)
    assert released.state == "RELEASED"
    assert platform.identity.reasons_given == ["call from the ward", "checked by telephone"]
    with pytest.raises(Conflict) as late:
        await client.held_by_identity.reject(held.name, "too late", held.etag)
    assert late.value.reason == "STATE_CONFLICT"


async def test_a_decision_about_what_changed_meanwhile_is_refused(client: RelaisClient) -> None:
    with pytest.raises(Conflict) as changed:
        await client.held_by_identity.release(HELD, InsStatus.VALIDEE, "checked", "an older etag")
    assert changed.value.reason == "ETAG_MISMATCH"


async def test_a_document_held_by_routing_is_released_there(client: RelaisClient) -> None:
    [held] = [each async for each in client.held_by_routing.list()]
    assert (held.by, held.details) == ("routing", ("minors.1",))
    assert (await client.held_by_routing.release(held.name, "consent on paper", held.etag)).state == "RELEASED"
    assert [each async for each in client.held_by_routing.list()] == []


async def test_a_decision_is_explained_with_its_rules(client: RelaisClient) -> None:
    explained = await client.routing.explain(HELD)
    assert [(each.kind, each.planned, each.rule) for each in explained.destinations] == [
        ("MSSANTE_PROFESSIONAL", True, "matrix.row_3"),
        ("DMP", False, "dmp.types"),
    ]
    assert (explained.destinations[0].recipient, explained.destinations[1].recipient) == (0, None)
    assert explained.decided_at is not None
    case = RouteCase(
        site="site-a", flags=FLAGS, type_code="11490-0", ins_status=InsStatus.QUALIFIEE, recipients=(RecipientKind.PROFESSIONAL,)
    )
    assert (await client.routing.explain_case(case)).decided_at is None


async def test_a_policy_is_drafted_and_activated(client: RelaisClient) -> None:
    draft = NewPolicy(
        scope="tenant",
        endpoints=(EndpointChoice(kind="DMP", connector="https", endpoint="sandbox-one", type_codes=("11490-0",)),),
        matrix_mode="LENIENT",
    )
    assert await client.routing.validate_policy(draft) == ("NO_ENDPOINT_FOR_DMP",)
    policy = await client.routing.create_policy(draft, str(uuid4()))
    assert (policy.content, policy.active, policy.version) == (draft, False, 1)
    with pytest.raises(Conflict):
        await client.routing.activate_policy(policy.name, "older")
    assert (await client.routing.activate_policy(policy.name, policy.etag)).active
    assert (await client.routing.get_policy("tenant")).version == 1
    assert [each.version async for each in client.routing.policies()] == [1]


async def test_a_delivery_is_looked_at_retried_and_given_up(client: RelaisClient) -> None:
    [delivery] = [each async for each in client.deliveries.list(HELD.rpartition("/")[2])]
    assert (delivery.state, delivery.attempt_count, delivery.code) == ("DEFERRED", 2, "503")
    short = HELD.rpartition("/")[2] + "/1"
    assert [attempt.code for attempt in (await client.deliveries.get(short)).attempts] == ["503"]
    assert (await client.deliveries.retry(short, "the partner is back")).state == "SCHEDULED"
    assert (await client.deliveries.abandon(delivery.name, "sent by post")).abandon_reason == "ABANDONED_BY_OPERATOR"
    assert [each async for each in client.deliveries.list("other")] == []
    with pytest.raises(NotFound):
        await client.deliveries.get("other/1")


async def test_an_endpoint_is_paused_drained_and_resumed(client: RelaisClient) -> None:
    assert [(each.name, each.state) for each in await client.deliveries.endpoints()] == [("endpoints/sandbox-one", "OPEN")]
    assert (await client.deliveries.pause("sandbox-one", "maintenance")).state == "PAUSED"
    assert (await client.deliveries.drain("endpoints/sandbox-one", "moving")).state == "DRAINING"
    assert (await client.deliveries.resume("sandbox-one", "done")).state == "OPEN"


def test_no_record_of_a_person_shows_them_when_printed() -> None:
    assert CANARY not in repr(submission())
