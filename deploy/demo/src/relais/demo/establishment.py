"""Who sends, and where it goes: a tenant with a group, two sites, one sender, its certificate, and a policy with three destinations.

All of it goes through the public API, and all of it may be said again: the same registered twice changes nothing.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final
from uuid import NAMESPACE_DNS, uuid5

from relais.cli.contexts import Chosen, from_file
from relais.client.calls import CallPolicy
from relais.client.client import RelaisClient
from relais.client.errors import ClientError, Conflict, Invalid, NotAllowed, NotFound, Unavailable
from relais.client.registry import Credential, Group, Sender, Site, Tenant
from relais.client.routing import EndpointChoice, NewPolicy
from relais.client.settings import ClientSettings
from relais.demo.cast import SITES, Parcel

TENANT: Final = "demo"
GROUP: Final = "vallee"
SENDER: Final = "dpi-vallee"
OPERATOR: Final = "operator"
DEMO_SENDER: Final = "demo-sender"
POLICY: Final = NewPolicy(
    scope="tenant",
    endpoints=(
        EndpointChoice(kind="DMP", connector="https", endpoint="sandbox-one"),
        EndpointChoice(kind="MSSANTE_PROFESSIONAL", connector="https", endpoint="sandbox-two"),
        EndpointChoice(kind="MSSANTE_PATIENT", connector="https", endpoint="sandbox-three"),
        EndpointChoice(kind="SOFTWARE", connector="https", endpoint="sandbox-two"),
    ),
)
_POLICY_REQUEST: Final = str(uuid5(NAMESPACE_DNS, "policy.demo.relais"))
_KNOWN_TIMEOUT_SECONDS: Final = 30.0
_KNOWN_POLL_SECONDS: Final = 0.1
_FINESS = {"hopital-amont": ("990000001", "990000027"), "hopital-aval": ("990000001", "990000035")}


class NotKnownInTime(Exception):
    """A replica did not hear of what was registered."""


def settings_of(context: Path, credential: str) -> ClientSettings:
    """How to call the stack of this context file as one of its credentials."""
    return chosen(context, credential).settings()


def chosen(context: Path, credential: str) -> Chosen:
    """The context of the demonstration."""
    return replace(from_file("demo", context), tenant=TENANT, credential=credential)


async def establish(operator: RelaisClient, sender_sha256: str) -> None:
    """Register everything; `sender_sha256` is the fingerprint of the sender's certificate, in hex."""
    registry = operator.registry
    await registry.register_tenant(Tenant(tenant=TENANT, display="Groupement de la Vallée (démonstration)"))
    await registry.register_group(Group(group=GROUP, display="Hôpitaux de la Vallée"))
    for site in SITES:
        ej, eg = _FINESS[site]
        display = f"Hôpital d'{site.partition('-')[2].capitalize()}"
        await registry.register_site(Site(site=site, display=display, group=GROUP, finess_ej=ej, finess_eg=eg))
    await registry.register_sender(Sender(sender=SENDER, display="Dossier patient de la Vallée", sites=SITES))
    await registry.register_credential(
        Credential(
            credential=f"x509:{sender_sha256}",
            display="Certificat du dossier patient",
            sender=SENDER,
            permissions=("DOCUMENT_SUBMIT", "DOCUMENT_READ"),
        )
    )
    await _activate_policy(operator)


async def wait_until_known(settings: ClientSettings, parcel: Parcel) -> None:
    """Until every ingestion replica would take this document from this caller: the registry reaches each of them by itself.

    Raises:
        NotKnownInTime: one of them still does not know the sender or the site.
    """
    addresses = settings.addresses["ingestion"]
    await asyncio.gather(*(_wait_for_replica(_alone(settings, address), parcel) for address in addresses))


def _alone(settings: ClientSettings, address: str) -> ClientSettings:
    return replace(settings, addresses={**settings.addresses, "ingestion": (address,)})


async def _wait_for_replica(settings: ClientSettings, parcel: Parcel) -> None:
    deadline = time.monotonic() + _KNOWN_TIMEOUT_SECONDS
    async with RelaisClient(settings, CallPolicy(attempts_maximum=1)) as client:
        while True:
            try:
                await client.documents.validate(parcel.submission, parcel.body)
            except (NotAllowed, Invalid, Unavailable) as error:
                if time.monotonic() > deadline or not _may_pass(error):
                    raise NotKnownInTime(error.reason) from error
            else:
                return
            await asyncio.sleep(_KNOWN_POLL_SECONDS)


def _may_pass(error: ClientError) -> bool:
    """Whether this refusal is what somebody gets who is not known yet."""
    about: Sequence[str] = [violation.field for violation in error.violations]
    return not isinstance(error, Invalid) or about == ["submission.site"]


async def _activate_policy(operator: RelaisClient) -> None:
    try:
        active = await operator.routing.get_policy("tenant")
    except NotFound:
        active = None
    if active is not None and active.content.endpoints == POLICY.endpoints:
        return
    draft = await operator.routing.create_policy(POLICY, _POLICY_REQUEST)
    try:
        await operator.routing.activate_policy(draft.name, draft.etag)
    except Conflict:
        # Somebody was first; what counts is that a policy is in force.
        await operator.routing.get_policy("tenant")
