"""Who calls, and may they? Decided once per call, before the method sees anything, from what the contract says of the method.

The caller is who the bearer token proves, else whom the client certificate belongs to. Permission comes before existence: a
resource of another tenant is refused by its name alone, whether it exists or not.
"""

import hashlib
import ssl
from typing import Any, TypeAlias

import grpc.aio

from relais.api.access.v1.error_reason_pb2 import ErrorReason
from relais.chassis.access.directory import Directory
from relais.chassis.access.principal import Principal, caller
from relais.chassis.api.errors import ApiError, FieldsInvalid, FieldViolation
from relais.chassis.api.methods import MethodRule, Scope
from relais.chassis.api.tokens import TokenVerifier

CERTIFICATES_CACHED_MAXIMUM = 4096
EVERY_TENANT_SEGMENT = "-"

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"

_BEARER = "bearer "


class Access:
    """Recognises callers and judges calls."""

    def __init__(self, directory: Directory, tokens: TokenVerifier) -> None:
        self._directory = directory
        self._tokens = tokens
        self._certificates: dict[bytes, str] = {}

    @property
    def generation(self) -> int:
        """Changes whenever anything was registered or revoked: what a long stream watches."""
        return self._directory.generation

    def credential(self, context: Context) -> str:
        """The credential that a call shows. Raises `ApiError`: CREDENTIAL_MISSING, TOKEN_INVALID, TOKEN_EXPIRED."""
        for key, value in context.invocation_metadata() or ():
            if key == "authorization":
                text = value.decode("ascii", "replace") if isinstance(value, bytes) else value
                if not text[: len(_BEARER)].lower() == _BEARER:
                    raise ApiError(ErrorReason.ERROR_REASON_TOKEN_INVALID)
                return self._tokens.credential(text[len(_BEARER) :].strip())
        for pem in context.auth_context().get("x509_pem_cert", ()):
            return self._certificate(pem)
        raise ApiError(ErrorReason.ERROR_REASON_CREDENTIAL_MISSING)

    def principal(self, credential: str) -> Principal:
        """Whom a credential stands for. Raises `ApiError` with CREDENTIAL_UNKNOWN."""
        principal = self._directory.principal(credential)
        if principal is None:
            raise ApiError(ErrorReason.ERROR_REASON_CREDENTIAL_UNKNOWN)
        return principal

    def _certificate(self, pem: bytes) -> str:
        known = self._certificates.get(pem)
        if known is None:
            known = "x509:" + hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem.decode("ascii"))).hexdigest()
            if len(self._certificates) >= CERTIFICATES_CACHED_MAXIMUM:
                self._certificates.clear()
            self._certificates[pem] = known
        return known


def check_permission(principal: Principal, rule: MethodRule) -> None:
    """Raise `ApiError` with PERMISSION_MISSING unless the caller may call the method; the metadata names the permission."""
    if rule.permission is not None and not principal.may(rule.permission):
        raise ApiError(ErrorReason.ERROR_REASON_PERMISSION_MISSING, metadata={"permission": rule.permission})


def check_tenant(principal: Principal, rule: MethodRule, request: object) -> None:
    """Raise `ApiError` unless what the request is about is the caller's to touch. `request` is None for a stream of requests."""
    match rule.scope:
        case Scope.PLATFORM:
            if not principal.of_platform:
                raise ApiError(ErrorReason.ERROR_REASON_RESOURCE_FOREIGN)
        case Scope.TENANT:
            _check_name(principal, getattr(request, rule.named_by) if rule.named_by else "", rule.named_by or "name")
        case Scope.CREDENTIAL:
            if rule.named_by and getattr(request, rule.named_by):
                _check_name(principal, getattr(request, rule.named_by), rule.named_by)


def tenant_of(parent: str, field: str = "parent") -> str:
    """The tenant that a message of the present call is about: the one it names, else the credential's own.

    Raises `ApiError`: RESOURCE_FOREIGN when it names another's, RESOURCE_NAME_INVALID when it names none and the credential has none.
    """
    principal = caller()
    if parent:
        _check_name(principal, parent, field)
        return parent.split("/", 2)[1]
    if principal.of_platform:
        raise FieldsInvalid([FieldViolation(field, ErrorReason.ERROR_REASON_RESOURCE_NAME_INVALID)])
    return principal.tenant


def require_permission(permission: str) -> Principal:
    """The caller, who has this permission beside the method's own. Raises `ApiError` with PERMISSION_MISSING."""
    principal = caller()
    if not principal.may(permission):
        raise ApiError(ErrorReason.ERROR_REASON_PERMISSION_MISSING, metadata={"permission": permission})
    return principal


def require_site(site: str) -> None:
    """Raise `ApiError` with RESOURCE_FOREIGN unless the caller may touch what belongs to this site."""
    if not caller().reaches(site):
        raise ApiError(ErrorReason.ERROR_REASON_RESOURCE_FOREIGN)


def not_found() -> ApiError:
    """What to raise for a resource of the caller's tenant that does not exist.

    Who reaches only some sites is told the same about what exists at another site, and so learns nothing.
    """
    foreign = caller().sites is not None
    return ApiError(ErrorReason.ERROR_REASON_RESOURCE_FOREIGN if foreign else ErrorReason.ERROR_REASON_RESOURCE_NOT_FOUND)


def require_reason(reason: str) -> str:
    """The reason a caller gives, trimmed. Raises `ApiError` with REASON_MISSING when there is none."""
    given = reason.strip()
    if not given:
        raise ApiError(ErrorReason.ERROR_REASON_REASON_MISSING)
    return given


def _check_name(principal: Principal, name: str, field: str) -> None:
    collection, _, rest = name.partition("/")
    tenant = rest.partition("/")[0]
    if collection != "tenants" or not tenant:
        raise FieldsInvalid([FieldViolation(field, ErrorReason.ERROR_REASON_RESOURCE_NAME_INVALID)])
    allowed = principal.of_platform if tenant == EVERY_TENANT_SEGMENT else principal.acts_for(tenant)
    if not allowed:
        raise ApiError(ErrorReason.ERROR_REASON_RESOURCE_FOREIGN)
