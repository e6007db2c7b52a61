"""What a companion that has no account yet says of itself: new keys, and the payload of its handshake.

Source: whatsmeow's store/clientpayload.go (`getRegistrationPayload`), as recorded in tests/wire/vectors.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from typing import Final

import zapwire.neonize_protos  # noqa: F401  enters neonize without its client

# isort: split
from neonize.proto.waWa6.WAWebProtobufsWa6_pb2 import ClientPayload

from zapwire.transport.whatsapp_web.engine.private.announced_version import Version
from zapwire.wire.curve import KEY_TYPE, KeyPair, to_wire

PREKEY_ID: Final = 1
ADV_SECRET: Final = 32


@dataclass(frozen=True, slots=True)
class CompanionKeys:
    """The keys of one attempt; those of a pairing that succeeds are the bot's from then on."""

    noise: KeyPair
    identity: KeyPair
    prekey: KeyPair
    prekey_signature: bytes
    registration_id: int
    """32 bits."""
    adv_secret: bytes
    """Of the QR codes; a typed code and a passkey each make another one."""

    @classmethod
    def generate(cls) -> CompanionKeys:
        """New random ones."""
        noise, identity, prekey = (_clamped() for _ in range(3))
        return cls(
            noise,
            identity,
            prekey,
            identity.sign(to_wire(prekey.public)),
            secrets.randbits(32),
            secrets.token_bytes(ADV_SECRET),
        )


def _clamped() -> KeyPair:
    """A key pair whose private half is stored as it is used: the engine signs with it as it stands (RFC 7748)."""
    private = bytearray(secrets.token_bytes(32))
    private[0] &= 248
    private[31] = private[31] & 127 | 64
    return KeyPair.from_private(bytes(private))


def payload(keys: CompanionKeys, version: Version, device_props: bytes) -> bytes:
    """The `ClientPayload` of a registration; *version* is WhatsApp Web's that the engine announces."""
    agent = ClientPayload.UserAgent(
        platform=ClientPayload.UserAgent.WEB,
        releaseChannel=ClientPayload.UserAgent.RELEASE,
        appVersion=ClientPayload.UserAgent.AppVersion(primary=version[0], secondary=version[1], tertiary=version[2]),
        mcc="000",
        mnc="000",
        osVersion="0.1",
        manufacturer="",
        device="Desktop",
        osBuildNumber="0.1",
        localeLanguageIso6391="en",
        localeCountryIso31661Alpha2="US",
    )
    pairing = ClientPayload.DevicePairingRegistrationData(
        eRegid=keys.registration_id.to_bytes(4, "big"),
        eKeytype=KEY_TYPE,
        eIdent=keys.identity.public,
        eSkeyID=PREKEY_ID.to_bytes(3, "big"),
        eSkeyVal=keys.prekey.public,
        eSkeySig=keys.prekey_signature,
        buildHash=hashlib.md5(".".join(map(str, version)).encode()).digest(),  # noqa: S324 - WhatsApp's choice
        deviceProps=device_props,
    )
    message = ClientPayload(
        userAgent=agent,
        webInfo=ClientPayload.WebInfo(webSubPlatform=ClientPayload.WebInfo.WEB_BROWSER),
        connectType=ClientPayload.WIFI_UNKNOWN,
        connectReason=ClientPayload.USER_ACTIVATED,
        devicePairingData=pairing,
        passive=False,
        pull=False,
    )
    return bytes(message.SerializeToString())
