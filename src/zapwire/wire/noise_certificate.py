"""The certificate chain that a server proves its Noise key with.

Source: whatsmeow's `verifyServerCert`. A root signs the intermediate certificate (whose issuer serial is 0), the
intermediate signs the leaf, and the leaf's key is the server's static key. Both are valid for a time.
"""

from __future__ import annotations

import hmac
from typing import Any, Final

import zapwire.neonize_protos  # noqa: F401  enters neonize without its client

# isort: split
from google.protobuf.message import DecodeError
from neonize.proto.waCert.WACert_pb2 import CertChain

from zapwire.wire.curve import verify
from zapwire.wire.noise import NoiseError

ROOT_SERIAL: Final = 0


def check(chain: bytes, static: bytes, root: bytes, now: float) -> None:
    """Raise `NoiseError` unless *chain* says that *static* is a key of whoever has the key *root*, at *now* (Unix)."""
    try:
        certificates = CertChain.FromString(chain)
        intermediate = _details(certificates.intermediate, root)
        leaf = _details(certificates.leaf, intermediate.key)
    except DecodeError as error:
        raise NoiseError("the server's certificate cannot be read") from error
    if intermediate.issuerSerial != ROOT_SERIAL or leaf.issuerSerial != intermediate.serial:
        raise NoiseError("the server's certificate names another issuer")
    if any(not one.notBefore <= now <= one.notAfter for one in (intermediate, leaf)):
        raise NoiseError("the server's certificate is not valid at this time; is the clock right?")
    if not hmac.compare_digest(leaf.key, static):
        raise NoiseError("the server's certificate is for another key")


def _details(certificate: Any, issuer: bytes) -> Any:
    if not verify(issuer, certificate.details, certificate.signature):
        raise NoiseError("the server's certificate is not signed by who should have")
    return CertChain.NoiseCertificate.Details.FromString(certificate.details)
