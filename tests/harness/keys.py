"""A master key for tests."""

from __future__ import annotations

from zapwire.vault.keys import KeyRing, MasterKey

KEYS = KeyRing(MasterKey(bytes(range(32))))
