"""The server's certificate, read again when its file changes, so that a renewed certificate needs no restart."""

import ssl
from datetime import datetime
from pathlib import Path

import grpc
from cryptography import x509

from relais.chassis.config import TlsConfig
from relais.chassis.refusal import StartRefused


class TlsRefused(StartRefused):
    """The certificate, its key or the callers' authority cannot be used; the message says which."""


def server_credentials(tls: TlsConfig, *, require_certificate: bool) -> grpc.ServerCredentials:
    """Credentials for one port. With `require_certificate`, a caller without one from the callers' authority gets no connection."""
    certificates = _Certificates(tls)
    return grpc.dynamic_ssl_server_credentials(
        certificates.first,
        certificates.renewed,  # type: ignore[arg-type]  # None means no change, which the stubs do not know
        require_certificate,
    )


def check_tls(tls: TlsConfig) -> None:
    """Raise `TlsRefused` unless certificate and key belong together and the authority can be read."""
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tls.certificate_file, tls.key_file)
    except (OSError, ssl.SSLError) as error:
        raise TlsRefused(f"the server's certificate and key do not belong together or cannot be read ({type(error).__name__})") from None
    try:
        context.load_verify_locations(tls.client_authority_file)
    except (OSError, ssl.SSLError) as error:
        raise TlsRefused(f"the authority of the callers' certificates cannot be read ({type(error).__name__})") from None


def certificate_expiry(tls: TlsConfig) -> datetime:
    """When the server's certificate ends."""
    return x509.load_pem_x509_certificate(tls.certificate_file.read_bytes()).not_valid_after_utc


class _Certificates:
    """Reads the files for a new handshake when one of them has changed; what cannot be used leaves the old ones in force."""

    def __init__(self, tls: TlsConfig) -> None:
        check_tls(tls)
        self._tls = tls
        self._seen = self._stamp()
        self.first = self._read()

    def renewed(self) -> grpc.ServerCertificateConfiguration | None:
        """New certificates, or None where nothing changed. Called by grpc before each handshake, from a thread of its own."""
        try:
            stamp = self._stamp()
            if stamp == self._seen:
                return None
            check_tls(self._tls)
            renewed = self._read()
        except (OSError, TlsRefused):
            return None
        self._seen = stamp
        return renewed

    def _stamp(self) -> tuple[tuple[int, int], ...]:
        return tuple((stat.st_mtime_ns, stat.st_ino) for stat in (Path(file).stat() for file in self._files()))

    def _files(self) -> tuple[Path, Path, Path]:
        return (self._tls.certificate_file, self._tls.key_file, self._tls.client_authority_file)

    def _read(self) -> grpc.ServerCertificateConfiguration:
        certificate, key, authority = (file.read_bytes() for file in self._files())
        return grpc.ssl_server_certificate_configuration([(key, certificate)], root_certificates=authority)
