"""Resource names (AIP-122): `tenants/{tenant}/documents/{document}`."""

import re
from functools import cache
from urllib.parse import quote, unquote

from relais.api.access.v1.error_reason_pb2 import ErrorReason
from relais.chassis.api.errors import FieldsInvalid, FieldViolation

NAME_CHARACTERS_MAXIMUM = 1024
SLUG = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")


def parse_name(name: str, pattern: str, field: str = "name") -> tuple[str, ...]:
    """The ids in a name of this pattern, percent-decoded. Raises `FieldsInvalid` with RESOURCE_NAME_INVALID.

    >>> parse_name("tenants/chu/documents/17", "tenants/{tenant}/documents/{document}")
    ('chu', '17')
    """
    match = _expression(pattern).fullmatch(name) if len(name) <= NAME_CHARACTERS_MAXIMUM else None
    if match is None:
        raise FieldsInvalid([FieldViolation(field, ErrorReason.ERROR_REASON_RESOURCE_NAME_INVALID)])
    return tuple(unquote(segment) for segment in match.groups())


def tenant_name(tenant: str) -> str:
    """`tenants/{tenant}`."""
    return f"tenants/{tenant}"


def document_name(tenant: str, document: str) -> str:
    """`tenants/{tenant}/documents/{document}`."""
    return f"tenants/{tenant}/documents/{document}"


def delivery_name(tenant: str, document: str, ordinal: int) -> str:
    """`tenants/{tenant}/documents/{document}/deliveries/{ordinal}`."""
    return f"tenants/{tenant}/documents/{document}/deliveries/{ordinal}"


def credential_name(tenant: str, credential: str) -> str:
    """`tenants/{tenant}/credentials/{credential}`, the credential percent-encoded where it holds a slash or a percent sign."""
    return f"tenants/{tenant}/credentials/{quote(credential, safe=':@!$&*+,;=~')}"


def is_slug(text: str) -> bool:
    """Whether a text can be the id of a tenant, group, site or sender: lower-case letters, digits, hyphens inside, at most 63."""
    return SLUG.fullmatch(text) is not None


@cache
def _expression(pattern: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\\\{[a-z_]+\\\}", "([^/]+)", re.escape(pattern)))
