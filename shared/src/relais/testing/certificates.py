"""A certificate authority for one test: real certificates, EC P-256, made in memory and written where a server wants files."""

import datetime
import ipaddress
from dataclasses import dataclass
from pathlib import Path

import grpc
import grpc.aio
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from relais.chassis.config import TlsConfig

DAYS = 2


@dataclass(frozen=True, slots=True)
class Identity:
    """A certificate with its key, both PEM, and the credential that a server knows it by."""

    certificate: bytes
    key: bytes
    credential: str


class TestAuthority:
    """Signs certificates for `localhost` and for callers."""

    __test__ = False

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name("authority of a test")
        builder = _builder(self._name, self._name).public_key(self._key.public_key())
        self._certificate = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True).sign(
            self._key, hashes.SHA256()
        )
        self.pem = self._certificate.public_bytes(serialization.Encoding.PEM)

    def client(self, name: str) -> Identity:
        """A caller's certificate."""
        return self._sign(name, ExtendedKeyUsageOID.CLIENT_AUTH)

    def server(self, folder: Path) -> TlsConfig:
        """A server's certificate, key and authority, written into the folder."""
        identity = self._sign("localhost", ExtendedKeyUsageOID.SERVER_AUTH)
        files = {"server.pem": identity.certificate, "server.key": identity.key, "authority.pem": self.pem}
        for file, content in files.items():
            (folder / file).write_bytes(content)
        return TlsConfig(
            certificate_file=folder / "server.pem", key_file=folder / "server.key", client_authority_file=folder / "authority.pem"
        )

    def channel(self, port: int, identity: Identity | None = None) -> grpc.aio.Channel:
        """A channel to `localhost:port`, with a client certificate or without one."""
        key, certificate = (identity.key, identity.certificate) if identity else (None, None)
        credentials = grpc.ssl_channel_credentials(self.pem, private_key=key, certificate_chain=certificate)
        # A channel shares its connection with others of the same credentials and options, which a test never wants.
        return grpc.aio.secure_channel(f"localhost:{port}", credentials, options=[("grpc.use_local_subchannel_pool", 1)])

    def _sign(self, name: str, usage: x509.ObjectIdentifier) -> Identity:
        key = ec.generate_private_key(ec.SECP256R1())
        names: list[x509.GeneralName] = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        certificate = (
            _builder(_name(name), self._name)
            .public_key(key.public_key())
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        return Identity(
            certificate=certificate.public_bytes(serialization.Encoding.PEM),
            key=key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
            credential=f"x509:{certificate.fingerprint(hashes.SHA256()).hex()}",
        )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _builder(subject: x509.Name, issuer: x509.Name) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=DAYS))
    )
