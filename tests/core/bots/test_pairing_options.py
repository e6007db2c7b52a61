"""How a bot presents itself when it is paired: by setting and of its own."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pytest

import zapwire.neonize_protos  # noqa: F401  enters neonize without its client

# isort: split
from neonize.proto.waCompanionReg import WACompanionReg_pb2 as companion

from tests.core.scripted import ScriptedTransport, ScriptedTransports, paired, world
from zapwire.model.errors import InvalidInput, NotSupported
from zapwire.model.pairing import DEFAULTS, PLATFORMS, PairingOptions


@dataclass
class TakesOptions(ScriptedTransport):
    pairing_options: PairingOptions = DEFAULTS


def takers() -> ScriptedTransports:
    return ScriptedTransports(kind=TakesOptions)


SETTINGS = PairingOptions("Support", "chrome", None, 300.0)
OWN = PairingOptions(" Shop 1 ", None, full_history=True, timeout=60.0)
KEPT = replace(OWN, device_name="Shop 1")


async def test_a_bots_own_options_come_before_the_settings_and_outlive_a_restart(tmp_path: Path):
    for start in range(2):
        async with world(tmp_path / "db", transports=takers(), pairing_options=SETTINGS) as at:
            if start == 0:
                made = await at.core.bots.create("own", pairing_options=OWN)
                assert made.pairing_options == KEPT
                await at.core.bots.create("plain")
            assert at.transports["own"].pairing_options == PairingOptions(
                "Shop 1", "chrome", full_history=True, timeout=60.0
            )
            assert at.transports["plain"].pairing_options == SETTINGS
            assert at.core.bots.get("own").view.pairing_options == KEPT
    async with world(tmp_path / "db", transports=takers(), pairing_options=SETTINGS) as at:
        bot = at.core.bots.get("own")
        assert (await bot.change(name="other")).pairing_options == KEPT
        assert (await bot.change(pairing_options=DEFAULTS)).pairing_options == DEFAULTS
        assert at.transports["own"].pairing_options == SETTINGS


@pytest.mark.parametrize(
    ("options", "field"),
    [
        (PairingOptions(device_name=""), "device_name"),
        (PairingOptions(device_name="x" * 51), "device_name"),
        (PairingOptions(device_name="a\nb"), "device_name"),
        (PairingOptions(device_name="\ud800"), "device_name"),
        (PairingOptions(platform="toaster"), "platform"),
        (PairingOptions(timeout=19.9), "timeout"),
        (PairingOptions(timeout=float("nan")), "timeout"),
    ],
)
async def test_what_cannot_be_is_refused_by_name(tmp_path: Path, options: PairingOptions, field: str):
    async with world(tmp_path / "db", transports=takers()) as at:
        with pytest.raises(InvalidInput) as refused:
            await at.core.bots.create("bot", pairing_options=options)
        assert refused.value.field == f"pairing_options.{field}"
        assert not at.core.bots.has("bot")


async def test_a_transport_without_pairing_refuses_them(tmp_path: Path):
    async with world(tmp_path / "db") as at:
        with pytest.raises(NotSupported):
            await at.core.bots.create("bot", pairing_options=OWN)
        await at.core.bots.create("bot")
        with pytest.raises(NotSupported):
            await at.core.bots.get("bot").change(pairing_options=OWN)


async def test_they_travel_with_an_export(tmp_path: Path):
    async with world(tmp_path / "db", transports=takers()) as at:
        await at.core.bots.create("own", pairing_options=OWN)
        await at.tell("own", paired())
        at.transports["own"].linked = True
        bundle = await at.core.transfer.export("own", "correct horse", move=True)
    async with world(tmp_path / "other", transports=takers()) as there:
        assert (await there.core.transfer.bring(bundle, "correct horse", start=False)).pairing_options == KEPT


def test_the_platforms_are_whatsapps() -> None:
    assert {name.upper() for name in PLATFORMS} | {"UNKNOWN"} == set(companion.DeviceProps.PlatformType.keys())
