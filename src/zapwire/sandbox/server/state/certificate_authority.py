"""A certificate authority of the sandbox's own, and the server's certificate below it."""

from __future__ import annotations

import datetime as dt
import ipaddress
import ssl
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from zapwire.sandbox.server.hosts import MEDIA_SUFFIX, SOCKET_HOST

_VALID: Final = dt.timedelta(days=3650)
_DAY: Final = dt.timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Authority:
    """The authority's certificate and key, PEM."""

    certificate: bytes
    key: bytes

    @classmethod
    def generate(cls) -> Authority:
        """A new authority, valid for ten years."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = _name("zapwire sandbox CA")
        usage = x509.KeyUsage(
            digital_signature=True,
            key_cert_sign=True,
            crl_sign=True,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            encipher_only=False,
            decipher_only=False,
        )
        certificate = (
            _builder(name, name, key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA256())
        )
        return cls(certificate.public_bytes(serialization.Encoding.PEM), _key_pem(key))

    def server_context(self, host: str) -> ssl.SSLContext:
        """TLS for the server: a certificate for the protocol's host names, loopback and *host*."""
        authority = x509.load_pem_x509_certificate(self.certificate)
        signer = serialization.load_pem_private_key(self.key, None)
        if not isinstance(signer, ec.EllipticCurvePrivateKey):
            raise TypeError("the authority's key is not an elliptic curve key")
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = (
            _builder(_name("zapwire sandbox"), authority.subject, key.public_key())
            .add_extension(x509.SubjectAlternativeName(_names(host)), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.public_key()), critical=False)  # type: ignore[arg-type]
            .sign(signer, hashes.SHA256())
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with tempfile.NamedTemporaryFile(suffix=".pem") as file:  # ssl reads certificates from files only
            file.write(_key_pem(key) + certificate.public_bytes(serialization.Encoding.PEM) + self.certificate)
            file.flush()
            context.load_cert_chain(file.name)
        return context

    def write_certificate(self, path: Path) -> None:
        """Put the authority's certificate where clients can read it."""
        path.write_bytes(self.certificate)


def _names(host: str) -> list[x509.GeneralName]:
    names: list[x509.GeneralName] = [x509.DNSName(n) for n in (SOCKET_HOST, f"*{MEDIA_SUFFIX}", "localhost")]
    names += [x509.IPAddress(ipaddress.ip_address(address)) for address in ("127.0.0.1", "::1")]
    if host not in {"localhost", "127.0.0.1", "::1"}:
        try:
            names.append(x509.IPAddress(ipaddress.ip_address(host)))
        except ValueError:
            names.append(x509.DNSName(host))
    return names


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _DAY)
        .not_valid_after(now + _VALID)
    )


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
