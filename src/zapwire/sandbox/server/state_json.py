"""The world as JSON values, and back."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from zapwire.sandbox.server.state.accounts import Account, AccountDevice, KeyBundle, Picture, UploadedSignedPreKey
from zapwire.sandbox.server.state.groups import Description, Group
from zapwire.sandbox.server.state.mailbox import Mailbox
from zapwire.sandbox.server.state.passkey import PasskeyRule, PublicPasskey
from zapwire.wire import binary
from zapwire.wire.node import WireJid

if TYPE_CHECKING:
    from zapwire.sandbox.server.world import World

_KEY_ID: Final = 3
_KEY: Final = 32
_PLAIN: Final = (
    "phone",
    "lid",
    "push_name",
    "about",
    "about_time",
    "blocked",
    "privacy",
    "last_seen",
    "last_device",
)
_GROUP_PLAIN: Final = (
    "number",
    "subject",
    "creator",
    "creation",
    "members",
    "subject_time",
    "subject_by",
    "announce",
    "locked",
    "approval",
    "ephemeral",
    "add_mode",
    "invite",
)


def dump(world: World) -> dict[str, Any]:
    """Everything that the world keeps."""
    return {
        "accounts": [_account(account) for account in world.directory],
        "groups": [_group(group) for group in world.groups],
        "app_state": world.app_state.to_json(),
        "media": list(world.media.files()),
        "media_auth": world.media.auth,
    }


def load(world: World, saved: dict[str, Any]) -> None:
    """Fill an empty world; raises ValueError, KeyError or TypeError when these are not its values."""
    for account in saved["accounts"]:
        world.directory.add(_read_account(account))
    for group in saved["groups"]:
        world.groups.add(_read_group(group))
    world.app_state.restore(saved["app_state"])
    world.media.auth = saved["media_auth"]


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


_bytes = base64.b64decode


def _account(account: Account) -> dict[str, Any]:
    return {
        **{name: getattr(account, name) for name in _PLAIN},
        "key_indexes": _text(account.key_indexes),
        "key_indexes_time": account.key_indexes_time,
        "picture": _picture(account.picture),
        "passkey": _passkey(account.passkey),
        "passkey_rule": asdict(account.passkey_rule),
        "seen_by": sorted(account.seen_by),
        "presence_to": {lid: str(jid) for lid, jid in account.presence_to.items()},
        "devices": [_device(device) for device in account.devices.values()],
    }


def _read_account(saved: dict[str, Any]) -> Account:
    account = Account(**{name: saved[name] for name in _PLAIN})
    account.key_indexes = _bytes(saved.get("key_indexes", ""))  # not in states of older versions
    account.key_indexes_time = saved.get("key_indexes_time", 0)
    account.picture = _read_picture(saved["picture"])
    account.passkey = _read_passkey(saved.get("passkey"))
    account.passkey_rule = PasskeyRule(**saved.get("passkey_rule", {}))
    account.seen_by = set(saved["seen_by"])
    account.presence_to = {lid: WireJid.parse(text) for lid, text in saved["presence_to"].items()}
    account.devices = {device["number"]: _read_device(device) for device in saved["devices"]}
    return account


def _device(device: AccountDevice) -> dict[str, Any]:
    return {
        "number": device.number,
        "key_index": device.key_index,
        "keys": _keys(device.keys) if device.keys else None,
        "device_identity": _text(device.device_identity),
        "noise_public": _text(device.noise_public),
        "waiting": [_text(binary.encode(node)) for node in device.mailbox.waiting.values()],
    }


def _read_device(saved: dict[str, Any]) -> AccountDevice:
    keys = _read_keys(saved["keys"]) if saved["keys"] else None
    device = AccountDevice(saved["number"], saved["key_index"], keys, _bytes(saved["device_identity"]))
    device.noise_public = _bytes(saved["noise_public"])
    device.mailbox = _read_mailbox(saved["waiting"])
    return device


def _read_mailbox(saved: Iterable[str]) -> Mailbox:
    box = Mailbox()
    for text in saved:
        box.put(binary.decode(_bytes(text)))
    return box


def _keys(keys: KeyBundle) -> dict[str, Any]:
    signed = keys.signed_prekey
    one_time = b"".join(number.to_bytes(_KEY_ID, "big") + key for number, key in keys.one_time.items())
    return {
        "registration_id": keys.registration_id,
        "identity": _text(keys.identity),
        "signed_prekey": [signed.number, _text(signed.public), _text(signed.signature)],
        "one_time": _text(one_time),
    }


def _read_keys(saved: dict[str, Any]) -> KeyBundle:
    number, public, signature = saved["signed_prekey"]
    data, step = _bytes(saved["one_time"]), _KEY_ID + _KEY
    one_time = {
        int.from_bytes(data[at : at + _KEY_ID], "big"): data[at + _KEY_ID : at + step]
        for at in range(0, len(data), step)
    }
    signed = UploadedSignedPreKey(number, _bytes(public), _bytes(signature))
    return KeyBundle(saved["registration_id"], _bytes(saved["identity"]), signed, one_time)


def _passkey(passkey: PublicPasskey | None) -> list[str] | None:
    return [_text(passkey.credential_id), _text(passkey.public_key)] if passkey else None


def _read_passkey(saved: list[str] | None) -> PublicPasskey | None:
    return PublicPasskey(_bytes(saved[0]), _bytes(saved[1])) if saved else None


def _picture(picture: Picture | None) -> list[str] | None:
    return [picture.number, _text(picture.data)] if picture else None


def _read_picture(saved: list[str] | None) -> Picture | None:
    return Picture(saved[0], _bytes(saved[1])) if saved else None


def _group(group: Group) -> dict[str, Any]:
    return {
        **{name: getattr(group, name) for name in _GROUP_PLAIN},
        "description": asdict(group.description) if group.description else None,
        "picture": _picture(group.picture),
    }


def _read_group(saved: dict[str, Any]) -> Group:
    group = Group(**{name: saved[name] for name in _GROUP_PLAIN})
    group.description = Description(**saved["description"]) if saved["description"] else None
    group.picture = _read_picture(saved["picture"])
    return group
