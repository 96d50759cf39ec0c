"""Who the organisations are: tenants, groups, sites, senders and credentials, each a stream of the registry log.

To register again what is registered the same way is nothing; otherwise the new fact replaces what was said before. Whether what
a command names exists (a site's group, a sender's sites) is loaded with the stream and arrives in the command's context.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias, assert_never

from relais.contracts.fact import Fact
from relais.contracts.registry import (
    CredentialRegistered,
    CredentialRevoked,
    GroupRegistered,
    SenderRegistered,
    SiteRegistered,
    TenantRegistered,
)
from relais.identity.domain.errors import Invalid, NotYours, Revoked, TakenElsewhere, Unknown

DISPLAY_CHARACTERS_MAXIMUM: Final = 200
SITES_OF_A_SENDER_MAXIMUM: Final = 1000
PERMISSIONS_MAXIMUM: Final = 64

FRENCH_ZONES: Final = frozenset(
    {
        "Europe/Paris",
        "America/Guadeloupe",
        "America/Martinique",
        "America/Cayenne",
        "America/Marigot",
        "America/St_Barthelemy",
        "America/Miquelon",
        "Indian/Reunion",
        "Indian/Mayotte",
        "Indian/Kerguelen",
        "Pacific/Noumea",
        "Pacific/Tahiti",
        "Pacific/Marquesas",
        "Pacific/Gambier",
        "Pacific/Wallis",
    }
)

# No tenant may have the names that stand for nobody's or everybody's facts.
RESERVED_TENANTS: Final = frozenset({"platform"})
_SLUG: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
# FINESS: nine characters; in Corsica the department is 2A or 2B. Samples in the wild fail Luhn, so its key is not checked.
_FINESS: Final = re.compile(r"[0-9][0-9AB][0-9]{7}")
_X509: Final = re.compile(r"x509:[0-9a-f]{64}")
_JWT: Final = re.compile(r"jwt:[!-~]{1,120}:[!-~]{1,120}")


@dataclass(frozen=True, slots=True)
class RegisterCredential:
    """Register a credential; `owner` is the tenant it speaks for today, if any.

    `permissions_known` are the words that exist, `permissions_given` those that the one who asks has: nobody gives more.
    """

    fact: CredentialRegistered
    permissions_known: frozenset[str]
    permissions_given: frozenset[str]
    owner: str = ""


@dataclass(frozen=True, slots=True)
class RegisterSite:
    """Register a site; `zones_known` are the time zones of the machine's IANA database."""

    fact: SiteRegistered
    zones_known: frozenset[str]


Command: TypeAlias = TenantRegistered | GroupRegistered | RegisterSite | SenderRegistered | RegisterCredential | CredentialRevoked
"""What is asked. Where there is nothing to add, the fact that is wished for is the command."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One registered thing: the fact that describes it, or None."""

    fact: Fact | None = None
    revoked: bool = False
    version: int = 0


@dataclass(frozen=True, slots=True)
class Context:
    """The command's own entry, and the entries it refers to, by stream."""

    own: Entry
    others: Mapping[str, Entry] = field(default_factory=dict)

    def exists(self, stream: str) -> bool:
        """Whether what this stream describes is registered and not revoked."""
        entry = self.others.get(stream)
        return entry is not None and entry.fact is not None and not entry.revoked


def tenant_stream(tenant: str) -> str:
    """The stream of a tenant."""
    return f"tenant/{tenant}"


def group_stream(group: str) -> str:
    """The stream of a group, within its tenant."""
    return f"group/{group}"


def site_stream(site: str) -> str:
    """The stream of a site, within its tenant."""
    return f"site/{site}"


def sender_stream(sender: str) -> str:
    """The stream of a sender, within its tenant."""
    return f"sender/{sender}"


def credential_stream(credential: str) -> str:
    """The stream of a credential, within its tenant."""
    return f"credential/{credential}"


def streams_of(command: Command) -> tuple[str, str, tuple[str, ...]]:
    """The tenant, the command's own stream, and the streams it refers to: what must be loaded before deciding."""
    match command:
        case TenantRegistered():
            return command.tenant, tenant_stream(command.tenant), ()
        case GroupRegistered():
            return command.tenant, group_stream(command.group), (tenant_stream(command.tenant),)
        case RegisterSite():
            site = command.fact
            group = (group_stream(site.group),) if site.group else ()
            return site.tenant, site_stream(site.site), (tenant_stream(site.tenant), *group)
        case SenderRegistered():
            sites = tuple(site_stream(site) for site in command.sites)
            return command.tenant, sender_stream(command.sender), (tenant_stream(command.tenant), *sites)
        case RegisterCredential():
            wanted = command.fact
            sender = (sender_stream(wanted.sender),) if wanted.sender else ()
            return wanted.tenant, credential_stream(wanted.credential), (tenant_stream(wanted.tenant), *sender)
        case CredentialRevoked():
            return command.tenant, credential_stream(command.credential), ()
        case _:
            assert_never(command)


def decide(command: Command, context: Context) -> Sequence[Fact]:
    """The fact of one command, or none when it is so already. Raises an `IdentityRefusal` naming the field."""
    match command:
        case TenantRegistered():
            _check_slug(command.tenant, "tenant")
            if command.tenant in RESERVED_TENANTS:
                raise Invalid("tenant")
            fact: Fact = command
        case GroupRegistered():
            _check_tenant(command.tenant, context)
            _check_slug(command.group, "group")
            fact = command
        case RegisterSite():
            _check_site(command, context)
            fact = command.fact
        case SenderRegistered():
            _check_sender(command, context)
            fact = command
        case RegisterCredential():
            _check_credential(command, context)
            fact = command.fact
        case CredentialRevoked():
            if context.own.fact is None:
                raise Unknown("credential")
            return () if context.own.revoked else (command,)
        case _:
            assert_never(command)
    _check_display(fact)
    return () if fact == context.own.fact and not context.own.revoked else (fact,)


def evolve(entry: Entry, fact: Fact) -> Entry:
    """Fold one fact of an entry's stream."""
    version = entry.version + 1
    match fact:
        case TenantRegistered() | GroupRegistered() | SiteRegistered() | SenderRegistered() | CredentialRegistered():
            return Entry(fact, entry.revoked, version)
        case CredentialRevoked():
            return Entry(entry.fact, revoked=True, version=version)
        case _:
            return Entry(entry.fact, entry.revoked, version)


def _check_site(command: RegisterSite, context: Context) -> None:
    site = command.fact
    _check_tenant(site.tenant, context)
    _check_slug(site.site, "site")
    if site.group and not context.exists(group_stream(site.group)):
        raise Unknown("group")
    for name, value in (("finess_ej", site.finess_ej), ("finess_eg", site.finess_eg)):
        if value and _FINESS.fullmatch(value) is None:
            raise Invalid(name)
    if site.zone not in command.zones_known:
        raise Invalid("zone")


def _check_sender(sender: SenderRegistered, context: Context) -> None:
    _check_tenant(sender.tenant, context)
    _check_slug(sender.sender, "sender")
    if not sender.sites or len(sender.sites) > SITES_OF_A_SENDER_MAXIMUM or len(set(sender.sites)) != len(sender.sites):
        raise Invalid("sites")
    for index, site in enumerate(sender.sites):
        if not context.exists(site_stream(site)):
            raise Unknown(f"sites[{index}]")


def _check_credential(command: RegisterCredential, context: Context) -> None:
    credential = command.fact
    _check_tenant(credential.tenant, context)
    if _X509.fullmatch(credential.credential) is None and _JWT.fullmatch(credential.credential) is None:
        raise Invalid("credential")
    if context.own.revoked:
        raise Revoked("credential")
    if command.owner and command.owner != credential.tenant:
        raise TakenElsewhere("credential")
    if not credential.permissions or len(credential.permissions) > PERMISSIONS_MAXIMUM:
        raise Invalid("permissions")
    for index, permission in enumerate(credential.permissions):
        if permission not in command.permissions_known:
            raise Invalid(f"permissions[{index}]")
        if permission not in command.permissions_given:
            raise NotYours(f"permissions[{index}]")
    if credential.sender and not context.exists(sender_stream(credential.sender)):
        raise Unknown("sender")


def _check_tenant(tenant: str, context: Context) -> None:
    _check_slug(tenant, "tenant")
    if not context.exists(tenant_stream(tenant)):
        raise Unknown("tenant")


def _check_slug(value: str, name: str) -> None:
    if _SLUG.fullmatch(value) is None:
        raise Invalid(name)


def _check_display(fact: Fact) -> None:
    display = getattr(fact, "display", "")
    if len(display) > DISPLAY_CHARACTERS_MAXIMUM or not (display.isprintable() or not display):
        raise Invalid("display")
