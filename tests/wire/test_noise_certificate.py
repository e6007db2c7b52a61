"""Whom a client takes for WhatsApp."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import zapwire.neonize_protos  # noqa: F401  enters neonize without its client

# isort: split
from neonize.proto.waCert.WACert_pb2 import CertChain

from zapwire.wire import noise_certificate
from zapwire.wire.curve import KeyPair
from zapwire.wire.noise import NoiseError

ROOT, MIDDLE, SERVER = (KeyPair.generate() for _ in range(3))
NOW = time.time()
DAY = 24 * 3600
VALID = {"notBefore": int(NOW) - DAY, "notAfter": int(NOW) + DAY}


def chain(*, root: KeyPair = ROOT, middle: KeyPair = MIDDLE, first: dict[str, Any] | None = None, **leaf: Any) -> bytes:
    details = CertChain.NoiseCertificate.Details
    one = details(**{"serial": 7, "issuerSerial": 0, "key": MIDDLE.public, **VALID, **(first or {})})
    two = details(**{"serial": 8, "issuerSerial": 7, "key": SERVER.public, **VALID, **leaf})
    signed = [
        CertChain.NoiseCertificate(details=part, signature=key.sign(part))
        for key, part in ((root, one.SerializeToString()), (middle, two.SerializeToString()))
    ]
    return bytes(CertChain(intermediate=signed[0], leaf=signed[1]).SerializeToString())


def check(data: bytes) -> None:
    noise_certificate.check(data, SERVER.public, ROOT.public, NOW)


def test_a_chain_from_the_root_to_the_servers_key_is_taken() -> None:
    check(chain())


OTHER = KeyPair.generate()


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (chain(root=OTHER), "not signed"),
        (chain(middle=OTHER), "not signed"),
        (chain(first={"key": b"short"}), "not signed"),
        (chain(first={"issuerSerial": 1}), "another issuer"),
        (chain(issuerSerial=8), "another issuer"),
        (chain(first={"notAfter": int(NOW) - 1}), "not valid at this time"),
        (chain(notAfter=int(NOW) - 1), "not valid at this time"),
        (chain(notBefore=int(NOW) + 60), "not valid at this time"),
        (chain(key=OTHER.public), "another key"),
        (chain(key=b""), "another key"),
        (b"", "not signed"),
        (b"\xff\xff", "cannot be read"),
    ],
)
def test_any_other_chain_is_refused(wrong: bytes, words: str) -> None:
    with pytest.raises(NoiseError, match=words):
        check(wrong)


@given(st.binary(max_size=200))
def test_no_bytes_are_taken_for_a_chain(data: bytes) -> None:
    with pytest.raises(NoiseError):
        check(data)
