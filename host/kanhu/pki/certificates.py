"""X.509 certificates of a private CA, EC P-256: small enough for an ESP32. Pure; files are elsewhere."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from kanhu.hosts import host_name

CA_DAYS = 3650
LEAF_DAYS = 397  # the longest that browsers and CAs agree on (CA/Browser Forum baseline requirements, 6.3.2)
BACKDATED = timedelta(hours=1)  # a peer whose clock is a little behind takes it at once
CN_MAX = 64  # RFC 5280, ub-common-name


@dataclass(frozen=True)
class Certified:
    """A private key and its certificate."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @property
    def key_pem(self) -> bytes:
        """PKCS #8, not encrypted."""
        return self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.DER)


def make_ca(name: str, days: float = CA_DAYS, now: datetime | None = None) -> Certified:
    """A self-signed CA that may sign servers and clients, and no further CA."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = _name(name)
    builder = (
        _builder(subject, key.public_key(), days, now)
        .issuer_name(subject)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(ca=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    return Certified(key, builder.sign(key, hashes.SHA256()))


def issue(
    ca: Certified,
    name: str,
    sans: Sequence[str],
    *,
    client: bool = False,
    days: float = LEAF_DAYS,
    now: datetime | None = None,
) -> Certified:
    """A server's (or client's) certificate with a new key; ValueError: a SAN is neither a name nor an IP.

    It never outlives its CA."""
    key = ec.generate_private_key(ec.SECP256R1())
    usage = ExtendedKeyUsageOID.CLIENT_AUTH if client else ExtendedKeyUsageOID.SERVER_AUTH
    builder = (
        _builder(_name(name), key.public_key(), days, now, ca.certificate.not_valid_after_utc)
        .issuer_name(ca.certificate.subject)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(ca=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(ca.key.public_key()), critical=False
        )
    )
    if sans:
        names = x509.SubjectAlternativeName([_san(text) for text in sans])
        builder = builder.add_extension(names, critical=False)
    return Certified(key, builder.sign(ca.key, hashes.SHA256()))


def sans_of(certificate: x509.Certificate) -> list[str]:
    """Host names and addresses a certificate stands for."""
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return [str(general.value) for general in found]


def is_client(certificate: x509.Certificate) -> bool:
    """Whether it was issued for a client."""
    try:
        found = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return False
    return ExtendedKeyUsageOID.CLIENT_AUTH in found


def common_name(name: x509.Name) -> str:
    """The CN of a subject or issuer."""
    return "".join(str(part.value) for part in name.get_attributes_for_oid(NameOID.COMMON_NAME))


def _san(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(host_name(text))


def _name(text: str) -> x509.Name:
    if not text.strip() or len(text) > CN_MAX:
        raise ValueError(f"{text!r}: a certificate's name has 1 to {CN_MAX} characters")
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _builder(
    subject: x509.Name,
    key: ec.EllipticCurvePublicKey,
    days: float,
    now: datetime | None,
    latest: datetime | None = None,
) -> x509.CertificateBuilder:
    now = now or datetime.now(UTC)
    until = now + timedelta(days=days)
    if latest is not None:
        until = min(until, latest)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(until)
    )


def _usage(*, ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=ca,
        crl_sign=ca,
        encipher_only=False,
        decipher_only=False,
    )
