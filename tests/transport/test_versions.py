"""Which version the real engine announces at the sandbox's wire, and what happens when that is too old."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from tests.harness.sandbox import Sandbox
from tests.transport.driven import Bot, Driven

NUMBER = "4915510000001"
OWN = 1_047_769_893
NEWER = 1_100_000_001


async def fault(sandbox: Sandbox, kind: str, **values: object) -> None:
    await sandbox.call("POST", "/faults", {"kind": kind, **values})


async def announced(sandbox: Sandbox) -> list[dict[str, Any]]:
    return list((await sandbox.call("GET", "/statistics"))["announced"])


def driven(folder: Path, sandbox: Sandbox, version: str, pairing: str = "auto") -> Driven:
    env = {"DRIVER_VERSION": version, "DRIVER_PAIRING": pairing}
    return Driven(folder, sandbox.descriptor_file, "client_version.REST=0", env=env)


async def linked(driver: Driven, sandbox: Sandbox) -> Bot:
    bot = driver.bot("one")
    await bot("start")
    await (await sandbox.phone(NUMBER)).scan((await bot.until("QrCode"))["code"])
    await bot.until("Connected")
    return bot


@pytest.mark.parametrize("pairing", ["engine", "own"])
async def test_registration_and_login_announce_the_version_that_was_given(
    tmp_path: Path, sandbox: Sandbox, pairing: str
):
    async with driven(tmp_path, sandbox, str(NEWER), pairing) as driver:
        await linked(driver, sandbox)
    version = f"2.3000.{NEWER}"
    build_hash = hashlib.md5(version.encode(), usedforsecurity=False).hexdigest()
    found = await announced(sandbox)
    assert [(one["kind"], one["version"], one["build_hash"]) for one in found] == [
        ("registration", version, build_hash),
        ("login", version, ""),
    ]


async def test_a_bot_that_is_refused_connects_once_more_with_the_newest_version(tmp_path: Path, sandbox: Sandbox):
    await fault(sandbox, "sw-js", revision=NEWER - 1)
    await fault(sandbox, "outdated", below=NEWER - 1)
    async with driven(tmp_path, sandbox, "auto") as driver:
        bot = await linked(driver, sandbox)  # the first look at the page may come before the registration or after it
        assert (await bot("version"))["announced"] == f"2.3000.{NEWER - 1}"
        await bot("stop")
        await fault(sandbox, "sw-js", revision=NEWER)
        await fault(sandbox, "outdated", below=NEWER)
        await bot("start")
        said = await bot.until("Disconnected")
        assert said["reason"].endswith(f"no longer accepts version 2.3000.{NEWER - 1}: connecting with 2.3000.{NEWER}")
        await bot.until("Connected")
        await bot("stop")
        await fault(sandbox, "outdated", below=NEWER + 1)
        before = len(await announced(sandbox))
        await bot("start")
        end = await bot.ending()
        assert (end.kind, end.condition) == ("Blocked", "outdated")
        assert "whatsapp_version" in end.action
        assert len(await announced(sandbox)) == before + 1, "nothing newer is known, so it is not tried again"
    kept = json.loads((driver.sessions.parent / "whatsapp-version").read_text())
    assert kept == NEWER
    await fault(sandbox, "sw-js", answer="login-page")
    await fault(sandbox, "outdated", below=NEWER)
    async with driven(tmp_path, sandbox, "auto") as again:
        bot = again.bot("one")
        await bot("start")
        await bot.until("Connected")


async def test_the_engines_own_version_is_announced_and_the_way_out_is_named(tmp_path: Path, sandbox: Sandbox):
    await fault(sandbox, "outdated", below=OWN + 1)
    for pairing in ("engine", "own"):
        async with driven(tmp_path, sandbox, "engine", pairing) as driver:
            bot = driver.bot("one")
            await bot("start")
            end = await bot.ending()
            assert (end.condition, (await bot("version"))["announced"]) == ("outdated", f"2.3000.{OWN}")
            assert "set whatsapp_version to auto" in end.action
    assert {one["version"] for one in await announced(sandbox)} == {f"2.3000.{OWN}"}


@pytest.mark.parametrize(
    ("page", "problem"),
    [
        ({"answer": "login-page"}, "names no revision; perhaps a login page"),
        ({"answer": "huge"}, "answered with more than 1048576 bytes"),
        ({"answer": "error"}, "answered 503"),
        ({"answer": "redirect"}, "answered 302"),
        ({"revision": 7}, "cannot be one"),
        ({"revision": 10**13}, "names no revision"),
        ({"revision": OWN - 1}, None),
    ],
)
async def test_a_page_that_names_nothing_newer_changes_nothing(
    tmp_path: Path, sandbox: Sandbox, page: dict[str, Any], problem: str | None
):
    await fault(sandbox, "sw-js", **page)
    await fault(sandbox, "outdated", below=OWN + 1)
    async with driven(tmp_path, sandbox, "auto") as driver:
        bot = driver.bot("one")
        await bot("start")
        assert (await bot.ending()).condition == "outdated"
        found = await bot("version")
        assert found["announced"] == f"2.3000.{OWN}"
        assert (problem or "") in (found["problem"] or "")
        assert (found["problem"] is None) == (problem is None)
