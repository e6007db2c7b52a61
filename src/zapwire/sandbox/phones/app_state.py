"""App state as the phone writes it: the settings that its companions read, such as the account's push name.

Protocol source: whatsmeow's appstate/{encode,hash,keys}.go and lthash.
"""

from __future__ import annotations

import hmac
import json
import secrets
import time
from dataclasses import dataclass, field
from typing import Any, Final

import zapwire.neonize_protos  # noqa: F401  enters neonize without its client

# isort: split
from neonize.proto.waE2E.WAWebProtobufsE2E_pb2 import Message, ProtocolMessage
from neonize.proto.waServerSync.WAWebProtobufsServerSync_pb2 import SyncdMutation, SyncdPatch
from neonize.proto.waSyncAction.WAWebProtobufSyncAction_pb2 import SyncActionData

from zapwire.wire.kdf import cbc_encrypt, hkdf, hmac_sha256

CRITICAL_BLOCK: Final = "critical_block"
KEY_ID_SIZE: Final = 6
MAC_SIZE: Final = 32
HASH_SIZE: Final = 128
PUSH_NAME_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class AppStateKey:
    """The key that all devices of an account share for app state."""

    key_id: bytes = field(default_factory=lambda: b"\0\0" + secrets.token_bytes(KEY_ID_SIZE - 2))
    secret: bytes = field(default_factory=lambda: secrets.token_bytes(32))
    timestamp: int = field(default_factory=lambda: int(time.time() * 1000))

    def share(self) -> Any:
        """The message that gives a companion this key."""
        message = Message()
        message.protocolMessage.type = ProtocolMessage.APP_STATE_SYNC_KEY_SHARE
        key = message.protocolMessage.appStateSyncKeyShare.keys.add()
        key.keyID.keyID = self.key_id
        key.keyData.keyData = self.secret
        key.keyData.fingerprint.rawID, key.keyData.fingerprint.currentIndex = 1, 0
        key.keyData.fingerprint.deviceIndexes.append(0)
        key.keyData.timestamp = self.timestamp
        return message

    def _expand(self) -> list[bytes]:
        """The keys for index, value encryption, value MAC, snapshot MAC and patch MAC."""
        material = hkdf(self.secret, info=b"WhatsApp Mutation Keys", length=160)
        return [material[start : start + 32] for start in range(0, 160, 32)]

    def first_patch(self, collection: str, index: list[str], action: dict[str, Any], version: int) -> bytes:
        """The patch (SyncdPatch, serialized) that takes an empty collection to version 1 with one setting."""
        index_key, value_key, value_mac_key, snapshot_key, patch_key = self._expand()
        name = json.dumps(index, separators=(",", ":")).encode()
        data = SyncActionData(index=name, padding=b"", version=version)
        data.value.timestamp = int(time.time() * 1000)
        for setting, values in action.items():
            for key, value in values.items():
                setattr(getattr(data.value, setting), key, value)
        iv = secrets.token_bytes(16)
        encrypted = iv + cbc_encrypt(value_key, iv, data.SerializeToString())
        value_mac = self._content_mac(value_mac_key, encrypted)
        patch = SyncdPatch()
        mutation = patch.mutations.add(operation=SyncdMutation.SET)
        mutation.record.index.blob = hmac_sha256(index_key, name)
        mutation.record.value.blob = encrypted + value_mac
        mutation.record.keyID.ID = patch.keyID.ID = self.key_id
        number, label = (1).to_bytes(8, "big"), collection.encode()
        # From 128 zero bytes, adding one item to the hash is the item's own expansion.
        state = hkdf(value_mac, info=b"WhatsApp Patch Integrity", length=HASH_SIZE)
        patch.snapshotMAC = hmac_sha256(snapshot_key, state + number + label)
        patch.patchMAC = hmac_sha256(patch_key, patch.snapshotMAC + value_mac + number + label)
        return bytes(patch.SerializeToString())

    def _content_mac(self, key: bytes, encrypted: bytes) -> bytes:
        set_operation = b"\x01"
        length = (len(self.key_id) + 1).to_bytes(8, "big")
        return hmac.digest(key, set_operation + self.key_id + encrypted + length, "sha512")[:MAC_SIZE]

    def push_name_patch(self, push_name: str) -> bytes:
        """The account's push name as the first patch of `critical_block`."""
        return self.first_patch(
            CRITICAL_BLOCK, ["setting_pushName"], {"pushNameSetting": {"name": push_name}}, PUSH_NAME_VERSION
        )
