"""The server's Noise identity: a root key of the sandbox's own and the certificate chain below it.

Source: whatsmeow's `verifyServerCert`. The root signs the intermediate certificate (whose issuer serial is 0), the
intermediate signs the leaf, and the leaf's key is the server's static Noise key. Signatures are XEdDSA.
"""

from __future__ import annotations

import base64
import time
from dataclasses import dataclass
from typing import Any, Final

import zapwire.neonize_protos  # noqa: F401  enters neonize without its client

# isort: split
from neonize.proto.waCert import WACert_pb2 as cert

from zapwire.wire.curve import KeyPair

_DAY: Final = 24 * 3600
_VALID_DAYS: Final = 3650
_INTERMEDIATE_SERIAL: Final = 1
_LEAF_SERIAL: Final = 2


@dataclass(frozen=True, slots=True)
class NoiseIdentity:
    """The three keys behind the server's certificate."""

    root: KeyPair
    intermediate: KeyPair
    static: KeyPair

    @classmethod
    def generate(cls) -> NoiseIdentity:
        """A new root and chain."""
        return cls(KeyPair.generate(), KeyPair.generate(), KeyPair.generate())

    def chain(self) -> bytes:
        """The certificate chain as the server's handshake payload, valid from yesterday for ten years."""
        now = int(time.time())
        valid = {"notBefore": now - _DAY, "notAfter": now + _VALID_DAYS * _DAY}
        details = cert.CertChain.NoiseCertificate.Details
        intermediate = details(serial=_INTERMEDIATE_SERIAL, issuerSerial=0, key=self.intermediate.public, **valid)
        leaf = details(serial=_LEAF_SERIAL, issuerSerial=_INTERMEDIATE_SERIAL, key=self.static.public, **valid)
        chain = cert.CertChain(
            intermediate=_signed(self.root, intermediate.SerializeToString()),
            leaf=_signed(self.intermediate, leaf.SerializeToString()),
        )
        return bytes(chain.SerializeToString())

    def to_json(self) -> dict[str, str]:
        """The private keys, for the state file."""
        return {name: base64.b64encode(getattr(self, name).private).decode() for name in self.__slots__}

    @classmethod
    def from_json(cls, saved: dict[str, str]) -> NoiseIdentity:
        """What `to_json` gave."""
        return cls(*(KeyPair.from_private(base64.b64decode(saved[name])) for name in cls.__slots__))


def _signed(key: KeyPair, details: bytes) -> Any:
    return cert.CertChain.NoiseCertificate(details=details, signature=key.sign(details))
