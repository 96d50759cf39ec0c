"""The caller of one call: whom a credential stands for and what it may do."""

from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final

EVERY_TENANT: Final = "*"
EVERY_PERMISSION: Final = "*"

PLATFORM: Final = "platform"
"""The tenant of facts that belong to no tenant, such as the denial of an unknown caller. No tenant can have this id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """A caller, recognised. `tenant` is `*` for those who act for the whole platform; `sites` is None for every site of the tenant.

    `credential` is `x509:<SHA-256 of the DER certificate in hex>` or `jwt:<issuer>:<subject>`: the actor of every fact it causes.
    """

    credential: str
    tenant: str
    sender: str
    sites: frozenset[str] | None
    permissions: frozenset[str]

    def may(self, permission: str) -> bool:
        """Whether it has this permission, a word of `relais.api.access.v1.Permission` without its prefix."""
        return permission in self.permissions or EVERY_PERMISSION in self.permissions

    def acts_for(self, tenant: str) -> bool:
        """Whether it may touch what belongs to this tenant."""
        return self.tenant in {tenant, EVERY_TENANT}

    def reaches(self, site: str) -> bool:
        """Whether it may touch what belongs to this site of its tenant."""
        return self.sites is None or site in self.sites

    @property
    def of_platform(self) -> bool:
        """Whether it acts for every tenant."""
        return self.tenant == EVERY_TENANT


class NobodyCalls(LookupError):
    """The caller was asked for outside a call: a mistake of ours."""


_caller: ContextVar[Principal] = ContextVar("relais_principal")


def caller() -> Principal:
    """The caller of the call that is being answered."""
    try:
        return _caller.get()
    except LookupError:
        raise NobodyCalls("no call is being answered here") from None


def set_caller(principal: Principal) -> None:
    """Say who calls, for the rest of this call; each call has a context of its own."""
    _caller.set(principal)
