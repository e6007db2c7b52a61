"""Public Signal keys in stanzas: uploading our own, reading those of others."""

from __future__ import annotations

from typing import Final

from zapwire.sandbox.signal.errors import DecryptFailed
from zapwire.sandbox.signal.keystore import KeyStore
from zapwire.sandbox.signal.x3dh import PreKeyBundle
from zapwire.wire.curve import KEY_TYPE
from zapwire.wire.node import Node

UPLOAD: Final = 100
"""One-time prekeys that a phone uploads at once. A real one uploads 812; that many take a second to make."""

_ID_BYTES: Final = 3
_REGISTRATION_BYTES: Final = 4


def key_node(number: int, public: bytes, signature: bytes = b"") -> Node:
    """`<key>`, or `<skey>` when there is a signature."""
    parts = [Node("id", content=number.to_bytes(_ID_BYTES, "big")), Node("value", content=public)]
    if signature:
        return Node("skey", content=[*parts, Node("signature", content=signature)])
    return Node("key", content=parts)


def registration_node(keys: KeyStore) -> Node:
    """`<registration>`."""
    return Node("registration", content=keys.registration_id.to_bytes(_REGISTRATION_BYTES, "big"))


def upload_nodes(keys: KeyStore, count: int = UPLOAD) -> list[Node]:
    """The content of the `<iq>` that uploads new one-time prekeys with everything else."""
    new = keys.add_prekeys(count)
    signed = keys.signed_prekey
    return [
        registration_node(keys),
        Node("type", content=KEY_TYPE),
        Node("identity", content=keys.identity.public),
        Node("list", content=[key_node(number, pair.public) for number, pair in new.items()]),
        key_node(signed.number, signed.pair.public, signed.signature),
    ]


def retry_nodes(keys: KeyStore) -> list[Node]:
    """What a retry receipt carries so that the sender can start a new session at once."""
    number, pair = next(iter(keys.add_prekeys(1).items()))
    signed = keys.signed_prekey
    bundle = [
        Node("type", content=KEY_TYPE),
        Node("identity", content=keys.identity.public),
        key_node(number, pair.public),
        key_node(signed.number, signed.pair.public, signed.signature),
    ]
    return [registration_node(keys), Node("keys", content=bundle)]


def read_bundle(node: Node) -> PreKeyBundle:
    """Read a `<user>` of a prekey answer, or a retry receipt with `<keys>`; raises DecryptFailed when incomplete."""
    keys = node.child("keys") or node
    signed, one_time = _child(keys, "skey"), keys.child("key")
    return PreKeyBundle(
        registration_id=int.from_bytes(_child(node, "registration").data, "big"),
        identity=_child(keys, "identity").data,
        signed_prekey_id=int.from_bytes(_child(signed, "id").data, "big"),
        signed_prekey=_child(signed, "value").data,
        signature=_child(signed, "signature").data,
        prekey_id=int.from_bytes(_child(one_time, "id").data, "big") if one_time else None,
        prekey=_child(one_time, "value").data if one_time else None,
    )


def _child(node: Node, tag: str) -> Node:
    child = node.child(tag)
    if child is None:
        message = f"a prekey bundle has no <{tag}>"
        raise DecryptFailed(message)
    return child
