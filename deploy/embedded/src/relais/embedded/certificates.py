"""The stack's own certificate authority, and the certificates it signs: one a service, one a client, all made on this machine.

Keys are EC P-256. A certificate is made again when it is missing, nearly over, or signed by another authority; its key changes with it.
"""

import datetime
import ipaddress
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from relais.embedded.state import write_whole

AUTHORITY_DAYS = 3_650
LEAF_DAYS = 397
RENEW_DAYS = 30
BACKDATED_MINUTES = 5


@dataclass(frozen=True)
class Pair:
    """A certificate and its private key, both PEM files; the key's mode is 0600."""

    certificate: Path
    key: Path

    def fingerprint(self) -> str:
        """SHA-256 of the DER certificate, lower-case hex: how operators.toml and the registry name a client."""
        return x509.load_pem_x509_certificate(self.certificate.read_bytes()).fingerprint(hashes.SHA256()).hex()


class Authority:
    """Signs certificates into one folder; made at the first use, read afterwards."""

    def __init__(self, folder: Path, now: datetime.datetime) -> None:
        self._folder = folder
        self._now = now
        self.pair = Pair(folder / "authority.pem", folder / "authority.key")
        if not (self.pair.certificate.exists() and self.pair.key.exists()):
            self._create()
        self._certificate = x509.load_pem_x509_certificate(self.pair.certificate.read_bytes())
        key = serialization.load_pem_private_key(self.pair.key.read_bytes(), None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise TypeError(f"{self.pair.key} is not the EC key this authority was made with")
        self._key = key

    def server(self, name: str) -> Pair:
        """A certificate for a process that listens on this machine: DNS `localhost` and its name, IP 127.0.0.1 and ::1."""
        names: list[x509.GeneralName] = [x509.DNSName("localhost"), x509.DNSName(name)]
        names += [x509.IPAddress(ipaddress.ip_address(address)) for address in ("127.0.0.1", "::1")]
        return self._leaf(name, x509.SubjectAlternativeName(names), ExtendedKeyUsageOID.SERVER_AUTH)

    def client(self, name: str) -> Pair:
        """A certificate for a caller; the server knows it by its fingerprint, not by its name."""
        names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(f"urn:relais:client:{name}")])
        return self._leaf(f"client-{name}", names, ExtendedKeyUsageOID.CLIENT_AUTH)

    def _leaf(self, name: str, names: x509.SubjectAlternativeName, usage: x509.ObjectIdentifier) -> Pair:
        pair = Pair(self._folder / f"{name}.pem", self._folder / f"{name}.key")
        if self._still_good(pair):
            return pair
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = (
            self._builder(name, self._certificate.subject, LEAF_DAYS)
            .public_key(key.public_key())
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            .add_extension(names, critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        _write(pair, certificate, key)
        return pair

    def _create(self) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = _name("Relais embedded authority")
        certificate = (
            self._builder("Relais embedded authority", subject, AUTHORITY_DAYS)
            .public_key(key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_key_usage(signs_certificates=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA256())
        )
        _write(self.pair, certificate, key)

    def _builder(self, name: str, issuer: x509.Name, days: int) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(_name(name))
            .issuer_name(issuer)
            .serial_number(x509.random_serial_number())
            .not_valid_before(self._now - datetime.timedelta(minutes=BACKDATED_MINUTES))
            .not_valid_after(self._now + datetime.timedelta(days=days))
        )

    def _still_good(self, pair: Pair) -> bool:
        if not (pair.certificate.exists() and pair.key.exists()):
            return False
        certificate = x509.load_pem_x509_certificate(pair.certificate.read_bytes())
        try:
            certificate.verify_directly_issued_by(self._certificate)
        except (ValueError, TypeError, InvalidSignature):
            return False
        return certificate.not_valid_after_utc - self._now > datetime.timedelta(days=RENEW_DAYS)


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _write(pair: Pair, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
    encoded = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    write_whole(pair.key, encoded, mode=0o600)
    write_whole(pair.certificate, certificate.public_bytes(serialization.Encoding.PEM))
