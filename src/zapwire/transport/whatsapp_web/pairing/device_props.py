"""How a companion presents itself, as the engine does unless a bot's options say otherwise.

Source: whatsmeow's store/clientpayload.go and goneonize, as recorded in tests/wire/vectors.
"""

from __future__ import annotations

from typing import Any, Final

import zapwire.neonize_protos  # noqa: F401 - before any neonize module

# isort: split
from neonize.proto.waCompanionReg import WACompanionReg_pb2 as companion

from zapwire.model.errors import InvalidInput
from zapwire.model.pairing import PairingOptions

DEVICE_NAME: Final = "zapwire"
OTHER_CLIENT: Final = "9"
_HISTORY: Final = {
    "storageQuotaMb": 10240,
    "inlineInitialPayloadInE2EeMsg": True,
    "supportCallLogHistory": True,
    "supportBotUserAgentChatHistory": True,
    "supportCagReactionsAndPolls": True,
    "supportBizHostedMsg": True,
    "supportRecentSyncChunkMessageCountTuning": True,
    "supportHostedGroupMsg": True,
    "supportFbidBotChatHistory": True,
    "supportMessageAssociation": True,
    "supportGroupHistory": True,
    "thumbnailSyncDaysLimit": 60,
    "supportManusHistory": True,
    "supportHatchHistory": True,
}
_CLIENTS: Final = {
    "CHROME": "1", "EDGE": "2", "FIREFOX": "3", "IE": "4", "OPERA": "5", "SAFARI": "6", "UWP": "8",
    "ANDROID_PHONE": "e",
}  # fmt: skip
"""By platform, the kind of client that the engine's QR code names, as tried for each; all others are the 9."""


def wanted(options: PairingOptions) -> Any:
    """A `DeviceProps` with only what differs from the engine's own, for the engine. Raises `InvalidInput`."""
    props = companion.DeviceProps(os=options.device_name or DEVICE_NAME)
    if options.platform is not None:
        props.platformType = _platform(options.platform)
    if options.full_history is not None:
        props.requireFullSync = options.full_history
    return props


def complete(options: PairingOptions) -> Any:
    """The whole `DeviceProps` that WhatsApp gets. Raises `InvalidInput`."""
    props = companion.DeviceProps(
        version=companion.DeviceProps.AppVersion(primary=0, secondary=1, tertiary=0),
        platformType=companion.DeviceProps.UNKNOWN,
        requireFullSync=False,
        historySyncConfig=companion.DeviceProps.HistorySyncConfig(**_HISTORY),
    )
    props.MergeFrom(wanted(options))
    return props


def qr_client(options: PairingOptions) -> str:
    """The kind of client that a QR code names."""
    return _CLIENTS.get((options.platform or "").upper(), OTHER_CLIENT)


def _platform(name: str) -> Any:
    try:
        return companion.DeviceProps.PlatformType.Value(name.upper())
    except ValueError as error:
        raise InvalidInput("WhatsApp knows no such platform", field="platform") from error
