"""The numbered patches of app state by account and collection, which the server stores but cannot read.

Source: whatsmeow's appstate.go. The server writes the new version into a patch, because clients check it against their
hash of everything.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import Any, Final

from google.protobuf.message import DecodeError

import zapwire.neonize_protos  # noqa: F401  enters neonize without its client

# isort: split
from neonize.proto.waServerSync import WAServerSync_pb2 as sync

from zapwire.sandbox.server.replies import QueryError
from zapwire.sandbox.server.state.accounts import Account

COLLECTIONS: Final = ("critical_block", "critical_unblock_low", "regular_high", "regular_low", "regular")
MAX_PATCHES: Final = 5000


@dataclass(slots=True)
class Collection:
    """One collection of one account: patch n made version n."""

    patches: list[bytes] = field(default_factory=list)

    @property
    def version(self) -> int:
        """The newest version; 0 when nothing was ever stored."""
        return len(self.patches)


class AppState:
    """The collections of all accounts."""

    def __init__(self) -> None:
        self._collections: dict[tuple[str, str], Collection] = {}

    def of(self, account: Account, name: str) -> Collection:
        """A collection; raises QueryError when there is none of this name."""
        if name not in COLLECTIONS:
            raise QueryError(404, "item-not-found")
        return self._collections.setdefault((account.phone, name), Collection())

    def append(self, account: Account, name: str, patch: bytes) -> int:
        """Store a patch on top; gives the version that it made. Raises QueryError when it is no patch."""
        collection = self.of(account, name)
        if collection.version >= MAX_PATCHES:
            raise QueryError(500, "internal-server-error")
        try:
            parsed = sync.SyncdPatch.FromString(patch)
        except DecodeError as error:
            raise QueryError(400, "bad-request") from error
        parsed.version.version = collection.version + 1
        collection.patches.append(bytes(parsed.SerializeToString()))
        return collection.version

    def to_json(self) -> list[list[Any]]:
        """For the state file."""
        return [[*key, [base64.b64encode(p).decode() for p in c.patches]] for key, c in self._collections.items()]

    def restore(self, saved: list[list[Any]]) -> None:
        """Take in what `to_json` gave."""
        for phone, name, patches in saved:
            self._collections[phone, name] = Collection([base64.b64decode(p) for p in patches])
