"""The credentials that work before the registry holds any: a TOML file that whoever installs the platform writes.

    [[operator]]
    name = "first operator"
    credential = "x509:8d3f…"             # or "jwt:<issuer>:<subject>"
    tenant = "*"                          # or one tenant
    permissions = ["*"]                   # or words such as "REGISTRY_ADMIN"

A file that cannot be read in full stops the start: half a list of those who may do everything is worse than none.
"""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path

from relais.chassis.access.principal import EVERY_PERMISSION, Principal
from relais.chassis.refusal import StartRefused

OPERATORS_MAXIMUM = 100
CREDENTIAL = re.compile(r"x509:[0-9a-f]{64}|jwt:[!-~]{1,120}:[!-~]{1,120}")
_WORDS = {"name", "credential", "tenant", "permissions"}


class OperatorsRefused(StartRefused):
    """The operators file cannot be used; the message says which entry and why."""


def read_operators(file: Path, permissions: frozenset[str]) -> dict[str, Principal]:
    """The operators by credential. `permissions` are the words that exist. Raises `OperatorsRefused`."""
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise OperatorsRefused(f"the operators file is not readable TOML ({type(error).__name__})") from None
    entries = content.pop("operator", [])
    if content or not isinstance(entries, list) or len(entries) > OPERATORS_MAXIMUM:
        raise OperatorsRefused(f"the operators file must hold at most {OPERATORS_MAXIMUM} tables [[operator]] and nothing else")
    operators: dict[str, Principal] = {}
    for number, entry in enumerate(entries, start=1):
        principal = _principal(entry, number, permissions)
        if principal.credential in operators:
            raise OperatorsRefused(f"operator {number} repeats the credential of another")
        operators[principal.credential] = principal
    return operators


def _principal(entry: object, number: int, known: frozenset[str]) -> Principal:
    if not isinstance(entry, Mapping) or not set(entry) <= _WORDS:
        raise OperatorsRefused(f"operator {number} may hold name, credential, tenant and permissions, nothing else")
    credential, tenant, granted = entry.get("credential"), entry.get("tenant"), entry.get("permissions")
    if not isinstance(credential, str) or not CREDENTIAL.fullmatch(credential):
        raise OperatorsRefused(f"operator {number} needs a credential, x509:<64 hex digits> or jwt:<issuer>:<subject>")
    if not isinstance(tenant, str) or not tenant:
        raise OperatorsRefused(f'operator {number} needs a tenant, or "*" for all of them')
    if not isinstance(granted, list) or not granted or not set(granted) <= known | {EVERY_PERMISSION}:
        raise OperatorsRefused(f"operator {number} needs permissions, each one of {', '.join(sorted(known))} or *")
    return Principal(credential=credential, tenant=tenant, sender="", sites=None, permissions=frozenset(granted))
