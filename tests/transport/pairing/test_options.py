"""How a bot presents itself when it is paired, as WhatsApp gets it: the same whoever pairs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import zapwire.neonize_protos  # noqa: F401  enters neonize without its client

# isort: split
from neonize.proto.waCompanionReg.WACompanionReg_pb2 import DeviceProps
from neonize.proto.waWa6.WAWebProtobufsWa6_pb2 import ClientPayload

from tests.transport.driven import Driven
from zapwire.sandbox.running import running_sandbox
from zapwire.sandbox.server.network import client_socket

OPTIONS = {"device_name": "Flower shop", "full_history": True}


KEYS = ("eRegid", "eIdent", "eSkeyVal", "eSkeySig")


@pytest.mark.parametrize("platform", ["chrome", "desktop", "android_phone"])
async def test_name_platform_and_history_are_announced_alike_by_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, platform: str
):
    announced: list[ClientPayload] = []
    kinds: list[str] = []
    finish = client_socket.Responder.finish

    def noted(side: Any, static: bytes, payload: bytes) -> Any:
        read = finish(side, static, payload)
        announced.append(ClientPayload.FromString(read[1]))
        for key in KEYS:
            announced[-1].devicePairingData.ClearField(key)
        return read

    monkeypatch.setattr(client_socket.Responder, "finish", noted)
    async with running_sandbox() as sandbox:
        (descriptor := tmp_path / "descriptor.json").write_text(json.dumps(sandbox.descriptor))
        for way in ("engine", "own"):
            (folder := tmp_path / way).mkdir()
            async with Driven(folder, descriptor, env={"DRIVER_PAIRING": way}) as driver:
                bot = driver.bot("bot")
                await bot("options", **OPTIONS, platform=platform)
                await bot("start")
                code = (await bot.until("QrCode"))["code"]
                kinds.append(code.rpartition(",")[2])
    props = DeviceProps.FromString(announced[0].devicePairingData.deviceProps)
    wanted = DeviceProps.PlatformType.Value(platform.upper())
    assert (props.os, props.platformType, props.requireFullSync) == ("Flower shop", wanted, True)
    assert announced[0] == announced[1]
    assert kinds[0] == kinds[1]
