"""Attacks every method of every running replica as nobody, a stranger, somebody without permission, and from another tenant."""

import asyncio
import contextlib

import grpc.aio
import pytest

from relais.client.words import id_of
from relais.clock import SystemClock
from relais.embedded.certificates import Pair
from relais.embedded.stack import Stack
from relais.embedded.topology import part_names
from relais.sandbox.cda import generate
from relais.testing.access_walk import Walkers, methods_of, walk_access
from relais.testing.certificates import Identity, TestAuthority
from tests.journey.conftest import REPLICAS
from tests.journey.given import submission_of
from tests.journey.hospital import Hospital, found, let_in, outcome, sent

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]

KNOWN_SECONDS = 30.0
POLL_SECONDS = 0.05
METHODS_MINIMUM = {"ingestion": 11, "identity": 16, "routing": 10, "delivery": 10}

# Nobody can be registered without any permission, so whoever may do nothing here may do something elsewhere.
USELESS_AT = {"ingestion": "DELIVERY_READ", "identity": "DELIVERY_READ", "routing": "DELIVERY_READ", "delivery": "DOCUMENT_READ"}


class StackAuthority(TestAuthority):
    """The authority of a running stack, for callers that have their certificates already."""

    def __init__(self, stack: Stack) -> None:
        self.pem = (stack.state.certificates / "authority.pem").read_bytes()


def identity(pair: Pair) -> Identity:
    return Identity(certificate=pair.certificate.read_bytes(), key=pair.key.read_bytes(), credential=f"x509:{pair.fingerprint()}")


def port(stack: Stack, part: str, purpose: str) -> int:
    return int(stack.report().part(part).addresses[purpose].rpartition(":")[2])


@pytest.fixture
async def existing(hospital: Hospital) -> list[str]:
    """Names of things of this hospital that exist: they must be refused exactly as those that do not."""
    document = generate(4001)
    async with sent(hospital, document, submission_of(document)) as (sender, receipt):
        await outcome(sender, receipt.document, "DONE")
    return [receipt.document, f"tenants/{hospital.tenant}/documents/{id_of(receipt.document)}/deliveries/1"]


async def known(walkers: Walkers, caller: Identity) -> None:
    """Until this replica has read of this credential: what it refuses then, it refuses knowingly."""
    clock = SystemClock()
    async with asyncio.timeout(KNOWN_SECONDS), walkers.authority.channel(walkers.port, caller) as channel:
        while True:
            with contextlib.suppress(grpc.aio.AioRpcError):
                await methods_of(channel)
                return
            await clock.sleep(POLL_SECONDS)


@pytest.mark.parametrize("part", part_names(REPLICAS))
async def test_no_method_of_any_replica_answers_whom_it_should_not(hospital: Hospital, existing: list[str], part: str) -> None:
    stack, service = hospital.stack, part.partition("-")[0]
    neighbour = await found(stack, "chu-b")
    async with hospital.as_operator() as operator, neighbour.as_operator() as other:
        await let_in(operator, hospital.certificate(f"useless-at-{service}"), "", USELESS_AT[service])
        everything = ("DOCUMENT_SUBMIT", "DOCUMENT_READ", "IDENTITY_ADMIN", "REGISTRY_ADMIN", "ROUTING_READ", "ROUTING_ADMIN")
        more = ("DELIVERY_READ", "DELIVERY_ADMIN", "AUDIT_READ", "AUDIT_REVEAL")
        await let_in(other, neighbour.certificate("all-powerful"), "", *everything, *more)
    walkers = Walkers(
        authority=StackAuthority(stack),
        port=port(stack, part, "grpc"),
        token_port=port(stack, part, "token"),
        tenant=hospital.tenant,
        anyone=identity(hospital.certificate("sender")),
        powerless=identity(hospital.certificate(f"useless-at-{service}")),
        foreign=identity(neighbour.certificate("all-powerful")),
        stranger=identity(hospital.certificate("stranger")),
    )
    for registered in (walkers.anyone, walkers.powerless, walkers.foreign):
        await known(walkers, registered)
    methods = await walk_access(walkers, existing)
    assert len(methods) >= METHODS_MINIMUM[service], methods
    assert any("AuditService/ReadEvents" in method for method in methods)
