"""Polls and votes of virtual phones. Source: whatsmeow's msgsecret.go (`EncryptPollVote`)."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import zapwire.neonize_protos  # noqa: F401  enters neonize without its client

# isort: split
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from google.protobuf.message import DecodeError
from neonize.proto.waE2E.WAWebProtobufsE2E_pb2 import Message, PollVoteMessage

from zapwire.sandbox.phones.content import E2EMessage
from zapwire.sandbox.phones.errors import BadRequest
from zapwire.wire.kdf import hkdf

SECRET: Final = 32
_NONCE: Final = 12
_USE: Final = "Poll Vote"


def poll(question: str, options: Sequence[str], selectable: int) -> E2EMessage:
    """A poll with a key of its own."""
    message = Message()
    made = message.pollCreationMessage
    made.name, made.selectableOptionsCount = question, selectable
    for option in options:
        made.options.add(optionName=option)
    message.messageContextInfo.messageSecret = secrets.token_bytes(SECRET)
    return message


@dataclass(frozen=True, slots=True)
class Poll:
    """Where a poll stands: addresses are JIDs."""

    id: str
    chat: str
    author: str


def vote(asked: E2EMessage, of: Poll, voter: str, options: Sequence[str]) -> E2EMessage:
    """A vote for *options* in the poll *asked*, from *voter* (a JID). Raises BadRequest."""
    secret = asked.messageContextInfo.messageSecret
    if not asked.HasField("pollCreationMessage") or len(secret) != SECRET:
        raise BadRequest("that message is no poll, or one without a key")
    message = Message()
    made = message.pollUpdateMessage
    made.pollCreationMessageKey.ID, made.pollCreationMessageKey.remoteJID = of.id, of.chat
    made.pollCreationMessageKey.fromMe = of.author == voter
    if of.chat.endswith("@g.us"):
        made.pollCreationMessageKey.participant = of.author
    choice = PollVoteMessage(selectedOptions=[hashlib.sha256(one.encode()).digest() for one in options])
    nonce, key = secrets.token_bytes(_NONCE), _key(secret, of, voter)
    sealed = AESGCM(key).encrypt(nonce, choice.SerializeToString(), _bound_to(of, voter))
    made.vote.encPayload, made.vote.encIV = sealed, nonce
    made.senderTimestampMS = time.time_ns() // 1_000_000
    return message


def chosen(asked: E2EMessage, of: Poll, voter: str, message: E2EMessage) -> list[str] | None:
    """What the vote in *message* is for; None when it is not for this poll or not from *voter*."""
    sealed = message.pollUpdateMessage.vote
    key = _key(asked.messageContextInfo.messageSecret, of, voter)
    try:
        plain = AESGCM(key).decrypt(sealed.encIV, sealed.encPayload, _bound_to(of, voter))
        hashes = set(PollVoteMessage.FromString(plain).selectedOptions)
    except (InvalidTag, ValueError, DecodeError):
        return None
    names = [option.optionName for option in asked.pollCreationMessage.options]
    return [name for name in names if hashlib.sha256(name.encode()).digest() in hashes]


def _key(secret: bytes, of: Poll, voter: str) -> bytes:
    return hkdf(secret, info=f"{of.id}{of.author}{voter}{_USE}".encode(), length=SECRET)


def _bound_to(of: Poll, voter: str) -> bytes:
    return f"{of.id}\0{voter}".encode()
