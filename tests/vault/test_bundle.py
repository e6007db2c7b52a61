"""Bundles open with their passphrase, whole, or say why not."""

from __future__ import annotations

import pytest

from zapwire.vault.bundle import BundleError, WrongPassphrase, pack, unpack

CONTENT = b"planted secret " * 1000
BUNDLE = pack("correct horse battery", CONTENT)


def test_there_and_back():
    assert unpack("correct horse battery", BUNDLE) == CONTENT
    assert b"planted" not in BUNDLE
    assert len(BUNDLE) < len(CONTENT)
    assert pack("correct horse battery", b"")[17:] != pack("correct horse battery", b"")[17:]


def test_another_passphrase():
    with pytest.raises(WrongPassphrase, match="passphrase is wrong"):
        unpack("correct horse", BUNDLE)


@pytest.mark.parametrize("length", [0, 10, 20, 60, 68, 69, len(BUNDLE) - 1])
def test_cut_short(length: int):
    with pytest.raises(BundleError, match="cut short" if length >= 17 else "no bundle|another version"):
        unpack("correct horse battery", BUNDLE[:length])


@pytest.mark.parametrize("place", [20, 60, 70, len(BUNDLE) - 1])
def test_a_flipped_bit(place: int):
    damaged = bytearray(BUNDLE)
    damaged[place] ^= 4
    with pytest.raises(BundleError, match=r"damaged|wrong|cut short"):
        unpack("correct horse battery", bytes(damaged))


def test_something_behind_it_or_another_kind_of_file():
    with pytest.raises(BundleError, match="behind the end"):
        unpack("correct horse battery", BUNDLE + b"x")
    with pytest.raises(BundleError, match="no bundle"):
        unpack("correct horse battery", b"SQLite format 3\0" * 10)
    with pytest.raises(BundleError, match="another version"):
        unpack("correct horse battery", BUNDLE.replace(b"bundle 1\n", b"bundle 2\n"))
