"""A hospital on a running stack, founded through the public API, with its own tenant, site, sender, certificate and policy."""

import asyncio
import datetime
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from uuid import NAMESPACE_DNS, uuid5

from relais.cli.contexts import from_file
from relais.client.client import RelaisClient
from relais.client.document_records import Document, Receipt, Submission
from relais.client.errors import NotFound
from relais.client.registry import Credential, Group, Sender, Site, Tenant
from relais.client.routing import EndpointChoice, NewPolicy
from relais.client.settings import CertificateCredential, ClientSettings
from relais.demo.cast import Parcel
from relais.demo.establishment import wait_until_known
from relais.embedded.certificates import Authority, Pair
from relais.embedded.documents import OPERATOR
from relais.embedded.keys import Keys
from relais.embedded.parts import postgres_server
from relais.embedded.stack import Stack
from relais.sandbox.cda import SyntheticDocument, generate
from tests.journey.given import submission_of

SITE = "site-a"
SETTLE_SECONDS = 60.0
POLICY = NewPolicy(
    scope="tenant",
    endpoints=(
        EndpointChoice(kind="DMP", connector="https", endpoint="sandbox-one"),
        EndpointChoice(kind="MSSANTE_PROFESSIONAL", connector="https", endpoint="sandbox-two"),
        EndpointChoice(kind="MSSANTE_PATIENT", connector="https", endpoint="sandbox-three"),
    ),
)
ENDPOINT_OF_KIND = {"dmp": "sandbox-one", "mssante_professional": "sandbox-two", "mssante_patient": "sandbox-three"}


@dataclass(frozen=True)
class Hospital:
    """A tenant of a running stack, seen by its operator and by its sender."""

    stack: Stack
    tenant: str

    def as_operator(self) -> RelaisClient:
        """A client of somebody who may do everything."""
        return RelaisClient(self.operator_settings())

    def as_sender(self) -> RelaisClient:
        """A client of the hospital's own system."""
        return RelaisClient(self.settings(self.certificate("sender")))

    def operator_settings(self) -> ClientSettings:
        """The stack's context, as its operator."""
        context = from_file("journey", self.stack.state.configuration / "context.toml")
        return replace(context, tenant=self.tenant, credential=OPERATOR).settings()

    def settings(self, certificate: Pair | None) -> ClientSettings:
        """The same way in, with another certificate or with none."""
        credential = CertificateCredential(certificate_file=certificate.certificate, key_file=certificate.key) if certificate else None
        return replace(self.operator_settings(), credential=credential)

    def operator_certificate(self) -> Pair:
        """The operator's, whom the stack itself made."""
        return Authority(self.stack.state.certificates, datetime.datetime.now(datetime.UTC)).client(OPERATOR)

    def certificate(self, name: str) -> Pair:
        """A client's certificate of the stack's authority, made when it is first asked for."""
        authority = Authority(self.stack.state.certificates, datetime.datetime.now(datetime.UTC))
        return authority.client(f"{name}-of-{self.tenant}")

    def record_dsn(self) -> str:
        """The record's database as the superuser, for looking behind the API."""
        return postgres_server(self.stack.state, Keys(self.stack.state.keys)).dsn("relais")


async def found(stack: Stack, tenant: str) -> Hospital:
    """Register everything, or find it registered, and wait until every ingestion replica knows it."""
    hospital = Hospital(stack, tenant)
    async with hospital.as_operator() as operator:
        await operator.registry.register_tenant(Tenant(tenant=tenant))
        await operator.registry.register_group(Group(group="group-a"))
        await operator.registry.register_site(Site(site=SITE, group="group-a", finess_ej="990000001", finess_eg="990000027"))
        await operator.registry.register_sender(Sender(sender="his", sites=(SITE,)))
        await let_in(operator, hospital.certificate("sender"), "his", "DOCUMENT_SUBMIT", "DOCUMENT_READ")
        await _in_force(operator, tenant)
    probe = generate(7)
    await wait_until_known(
        hospital.settings(hospital.certificate("sender")), Parcel(name="probe", submission=submission_of(probe), body=probe.body)
    )
    return hospital


async def let_in(operator: RelaisClient, certificate: Pair, sender: str, *permissions: str) -> None:
    """Register a certificate; `sender` is empty for somebody who acts for the whole tenant."""
    credential = Credential(credential=f"x509:{certificate.fingerprint()}", sender=sender, permissions=permissions)
    await operator.registry.register_credential(credential)


async def outcome(client: RelaisClient, document: str, *states: str) -> Document:
    """The document once it is in one of these states (DONE, HELD or REJECTED where none is named), followed with `WatchDocument`."""
    wanted = states or ("DONE", "HELD", "REJECTED")
    async with asyncio.timeout(SETTLE_SECONDS):
        async for change in client.documents.watch(document):
            if change.document.state in wanted:
                return await client.documents.get(document)
    raise AssertionError(f"{document} came to another end than {wanted}")


@asynccontextmanager
async def sent(hospital: Hospital, document: SyntheticDocument, submission: Submission) -> AsyncIterator[tuple[RelaisClient, Receipt]]:
    """One document submitted by the hospital's system."""
    async with hospital.as_sender() as sender:
        yield sender, await sender.documents.submit(submission, document.body)


async def _in_force(operator: RelaisClient, tenant: str) -> None:
    try:
        await operator.routing.get_policy("tenant")
    except NotFound:
        draft = await operator.routing.create_policy(POLICY, str(uuid5(NAMESPACE_DNS, f"policy.{tenant}")))
        await operator.routing.activate_policy(draft.name, draft.etag)
