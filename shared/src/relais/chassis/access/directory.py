"""The directory: organisations and credentials, folded from the registry's facts in log order. Pure; kept whole in memory.

Facts may speak of each other in any order: a credential of a sender that is registered later works from then on. A
credential belongs to the first tenant that registered it until that tenant revokes it, so that no tenant can take another's.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from relais.chassis.access.principal import EVERY_PERMISSION, EVERY_TENANT, PLATFORM, Principal
from relais.contracts.fact import Fact
from relais.contracts.registry import (
    CredentialRegistered,
    CredentialRevoked,
    GroupRegistered,
    SenderRegistered,
    SiteRegistered,
    TenantRegistered,
)

ZONE_DEFAULT = "Europe/Paris"
RESERVED_TENANTS = frozenset({"", "-", EVERY_TENANT, PLATFORM})


@dataclass(frozen=True, slots=True)
class SiteEntry:
    """What a service needs to know of a site: its group (for policies), its legal entity and its time zone."""

    tenant: str
    site: str
    group: str
    finess_ej: str
    finess_eg: str
    zone: str


class Directory:
    """Everything registered. `generation` grows with every fact.

    `operators` are the credentials that work without being registered; the registry cannot change them.
    """

    def __init__(self, operators: Mapping[str, Principal] | None = None) -> None:
        self._operators = dict(operators or {})
        self._tenants: set[str] = set()
        self._groups: set[tuple[str, str]] = set()
        self._sites: dict[tuple[str, str], SiteEntry] = {}
        self._senders: dict[tuple[str, str], frozenset[str]] = {}
        self._credentials: dict[str, CredentialRegistered] = {}
        self._revoked: dict[str, str] = {}
        self._principals: dict[str, Principal] = {}
        self.generation = 0

    def evolve(self, fact: Fact) -> bool:
        """Fold one fact; False when it is of a kind that this version does not know."""
        match fact:
            case TenantRegistered():
                # A tenant of these names would stand for everybody; the registry never makes a caller of the whole platform.
                if fact.tenant not in RESERVED_TENANTS:
                    self._tenants.add(fact.tenant)
            case GroupRegistered():
                self._groups.add((fact.tenant, fact.group))
            case SiteRegistered():
                entry = SiteEntry(fact.tenant, fact.site, fact.group, fact.finess_ej, fact.finess_eg, fact.zone or ZONE_DEFAULT)
                self._sites[fact.tenant, fact.site] = entry
            case SenderRegistered():
                self._senders[fact.tenant, fact.sender] = frozenset(fact.sites)
            case CredentialRegistered():
                holder = self._credentials.get(fact.credential)
                if holder is None or holder.tenant == fact.tenant:
                    self._credentials[fact.credential] = fact
                    self._revoked.pop(fact.credential, None)
            case CredentialRevoked():
                holder = self._credentials.get(fact.credential)
                if holder is not None and holder.tenant == fact.tenant:
                    del self._credentials[fact.credential]
                    self._revoked[fact.credential] = fact.tenant
            case _:
                return False
        self._principals.clear()
        self.generation += 1
        return True

    def principal(self, credential: str) -> Principal | None:
        """Whom a credential stands for, or None when it is unknown or revoked."""
        known = self._operators.get(credential) or self._principals.get(credential)
        if known is not None:
            return known
        registered = self._credentials.get(credential)
        if registered is None or registered.tenant not in self._tenants:
            return None
        principal = Principal(
            credential=credential,
            tenant=registered.tenant,
            sender=registered.sender,
            sites=self._senders.get((registered.tenant, registered.sender), frozenset()) if registered.sender else None,
            permissions=frozenset(registered.permissions) - {EVERY_PERMISSION},
        )
        self._principals[credential] = principal
        return principal

    def holder(self, credential: str) -> str | None:
        """The tenant that a credential is registered for at present."""
        registered = self._credentials.get(credential)
        return registered.tenant if registered is not None else None

    def has_tenant(self, tenant: str) -> bool:
        """Whether a tenant is registered."""
        return tenant in self._tenants

    def has_group(self, tenant: str, group: str) -> bool:
        """Whether a group is registered."""
        return (tenant, group) in self._groups

    def has_sender(self, tenant: str, sender: str) -> bool:
        """Whether a sender is registered."""
        return (tenant, sender) in self._senders

    def site(self, tenant: str, site: str) -> SiteEntry | None:
        """A registered site."""
        return self._sites.get((tenant, site))

    def tenants(self) -> list[str]:
        """Every tenant, sorted."""
        return sorted(self._tenants)
