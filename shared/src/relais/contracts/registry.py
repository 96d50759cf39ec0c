"""Facts of the registry log: who the organisations are and what their credentials may do.

Its stream is never trimmed from the bus; it is small, and every replica replays it.
"""

from relais.contracts.fact import Fact, fact


@fact("registry.tenant_registered.v1")
class TenantRegistered(Fact, frozen=True, kw_only=True):
    """A tenant (a hospital group's contract) exists. `tenant` is a short lower-case slug."""

    tenant: str
    display: str = ""


@fact("registry.group_registered.v1")
class GroupRegistered(Fact, frozen=True, kw_only=True):
    """A group of sites inside a tenant; policies are inherited tenant > group > site."""

    tenant: str
    group: str
    display: str = ""


@fact("registry.site_registered.v1")
class SiteRegistered(Fact, frozen=True, kw_only=True):
    """A site: FINESS of the legal entity (EJ) and of the site (EG), IANA time zone. Registered again, it replaces what was said before."""

    tenant: str
    site: str
    group: str = ""
    display: str = ""
    finess_ej: str = ""
    finess_eg: str = ""
    zone: str = "Europe/Paris"


@fact("registry.sender_registered.v1")
class SenderRegistered(Fact, frozen=True, kw_only=True):
    """A sending system and the set of sites it may speak for."""

    tenant: str
    sender: str
    sites: tuple[str, ...] = ()
    display: str = ""


@fact("registry.credential_registered.v1")
class CredentialRegistered(Fact, frozen=True, kw_only=True):
    """A credential may act. `credential` is `x509:<SHA-256 of the DER certificate, hex>` or `jwt:<issuer>:<subject>`.

    `permissions` are the words of `relais.api.access.v1.Permission`; `sender` is empty for a person or an operator tool.
    """

    tenant: str
    credential: str
    permissions: tuple[str, ...]
    sender: str = ""
    display: str = ""


@fact("registry.credential_revoked.v1")
class CredentialRevoked(Fact, frozen=True, kw_only=True):
    """A credential may no longer act."""

    tenant: str
    credential: str
    reason: str = ""
