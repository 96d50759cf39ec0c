"""Who sends in these tests, and to whom: one tenant, one site, one sender, and a policy with a partner for each kind of destination."""

from typing import Final
from uuid import uuid4

import msgspec

from relais.client.calls import CallPolicy
from relais.client.client import RelaisClient
from relais.client.document_records import Submission
from relais.client.errors import Invalid, NotAllowed, Unavailable
from relais.client.registry import Credential, Sender, Site, Tenant
from relais.client.routing import EndpointChoice, NewPolicy
from relais.client.settings import CertificateCredential, ClientSettings
from relais.contracts.submission import Flags, Opposition, Recipient, RecipientKind
from relais.embedded.certificates import Pair
from relais.sandbox.cda import DOCUMENT_TYPES, Kind, SyntheticDocument, generate
from tests.faults.arena import SERVICES, Arena
from tests.faults.waiting import until

TENANT: Final = "faults"
SITE: Final = "site-a"
SENDER: Final = "his-a"
SMALL_BYTES: Final = 12 * 1024
# Above this a body is staged in earlier commits than its fact.
LARGE_BYTES: Final = 1_300_000
KNOWN_SECONDS: Final = 30.0

# Which partner stands for which kind of destination: every document goes to each of them once.
PARTNERS: Final = {"DMP": "sandbox-one", "MSSANTE_PROFESSIONAL": "sandbox-two", "MSSANTE_PATIENT": "sandbox-three"}

_PATIENT: Final = CallPolicy(timeout_seconds=10.0, attempts_maximum=30, retry_seconds_maximum=60.0)
_TYPES: Final = tuple(DOCUMENT_TYPES)
_EVERYWHERE: Final = Flags(
    masque_ps=False,
    invisible_patient=False,
    invisible_rep_legaux=False,
    connexion_secrete=False,
    modif_conf_code=False,
    destdmp=True,
    destmssanteps=True,
    destmssantepat=True,
    ack_reception=False,
    ack_lecture_mss=False,
)


class Parcel(msgspec.Struct, frozen=True):
    """What is sent: the same number is the same document under the same request, in every attempt."""

    number: int
    submission: Submission
    body: bytes


def parcel(number: int, request_id: str, *, large: bool = False) -> Parcel:
    """The document of that number."""
    document: SyntheticDocument = generate(
        number,
        kind=Kind.N1 if number % 2 else Kind.N3,
        size_bytes=LARGE_BYTES if large else SMALL_BYTES,
        type_code=_TYPES[number % len(_TYPES)],
    )
    submission = Submission(
        request_id=request_id,
        site=SITE,
        patient=document.identity,
        flags=_EVERYWHERE,
        opposition=Opposition.NO,
        professional=document.professional,
        recipients=(Recipient(kind=RecipientKind.PROFESSIONAL, address=f"cabinet{number % 7}@essai.mssante.fr"),),
    )
    return Parcel(number, submission, document.body)


def client(arena: Arena, credential: str, *, only: str = "") -> RelaisClient:
    """A client of the stack as `operator` or `demo-sender`; `only` names the one replica it may speak to."""
    pair = Pair(arena.state.certificates / f"client-{credential}.pem", arena.state.certificates / f"client-{credential}.key")
    addresses = {
        service: tuple(arena.address(part, "grpc") for part in arena.replicas(service) if only in ("", part)) for service in SERVICES
    }
    settings = ClientSettings(
        addresses=addresses,
        tenant=TENANT,
        authority_file=arena.state.certificates / "authority.pem",
        credential=CertificateCredential(certificate_file=pair.certificate, key_file=pair.key),
    )
    return RelaisClient(settings, _PATIENT)


async def establish(arena: Arena, fingerprint: str) -> None:
    """Register everything through the public API, and wait until every replica of ingestion has heard of it."""
    async with client(arena, "operator") as operator:
        registry = operator.registry
        await registry.register_tenant(Tenant(tenant=TENANT))
        await registry.register_site(Site(site=SITE, finess_ej="990000001", finess_eg="990000027"))
        await registry.register_sender(Sender(sender=SENDER, sites=(SITE,)))
        permissions = ("DOCUMENT_SUBMIT", "DOCUMENT_READ")
        await registry.register_credential(Credential(credential=f"x509:{fingerprint}", sender=SENDER, permissions=permissions))
        choices = tuple(EndpointChoice(kind=kind, connector="https", endpoint=partner) for kind, partner in PARTNERS.items())
        draft = await operator.routing.create_policy(NewPolicy(scope="tenant", endpoints=choices), str(uuid4()))
        await operator.routing.activate_policy(draft.name, draft.etag)
    for replica in arena.replicas("ingestion"):
        async with client(arena, "demo-sender", only=replica) as sender:
            await until(lambda sender=sender: _is_known(sender), KNOWN_SECONDS, f"{replica} does not know the sender")  # type: ignore[misc]


async def _is_known(sender: RelaisClient) -> bool:
    probe = parcel(0, str(uuid4()))
    try:
        await sender.documents.validate(probe.submission, probe.body)
    except (NotAllowed, Invalid, Unavailable):
        return False
    return True
