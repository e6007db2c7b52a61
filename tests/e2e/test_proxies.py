"""Bots behind proxies of their own: the real engine over a real proxy, CONNECT and SOCKS5, to the sandbox."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.harness.chat import BOT_NUMBER, CONTACT_NUMBER, arrived
from tests.harness.daemon import Daemon
from tests.harness.proxy import IN_URL, PASSWORD, TestProxy
from tests.harness.sandbox import Sandbox


@pytest.mark.parametrize("way", ["engine", "own"])
async def test_a_bot_pairs_talks_and_moves_through_its_own_proxies(tmp_path: Path, sandbox: Sandbox, way: str) -> None:
    folder = tmp_path / "daemon"
    folder.mkdir()
    async with (
        TestProxy("http", sandbox.descriptor) as http,
        TestProxy("socks5", sandbox.descriptor) as socks,
        Daemon(folder, sandbox.descriptor_file, ZAPWIRE_LOG_LEVEL="DEBUG", ZAPWIRE_PAIRING=way) as daemon,
    ):
        # credentials are needed, and a proxy that does not work is refused with the reason
        for proxy in (http, socks):
            wrong = proxy.url.replace(IN_URL, "proxy-user:wrong")
            status, problem = await daemon.ask("POST", "/v1/bots", {"id": "shop", "proxy": wrong})
            assert (status, problem["code"], problem["field"]) == (422, "invalid-input", "proxy")
            assert "the proxy does not take the user name and the password" in problem["detail"]
            status, problem = await daemon.ask("POST", "/v1/bots", {"id": "shop", "proxy": "socks5://127.0.0.1:1"})
            assert (status, "cannot be reached" in problem["detail"]) == (422, True)
            assert (proxy.refused, proxy.opened) == (1, 0)

        # the engine itself is told so, too, in words without the address
        wrong = socks.url.replace(IN_URL, "proxy-user:wrong")
        await daemon.call("POST", "/v1/bots", {"id": "shop", "proxy": wrong, "proxy_check": False})
        bot = await daemon.until_state("shop", "reconnecting")
        assert "the proxy does not take the user name and the password" in bot["reason"]

        # pairing goes through the proxy
        bot = await daemon.call("PATCH", "/v1/bots/shop", {"proxy": http.url})
        assert bot["proxy"] == f"http://proxy-user:***@127.0.0.1:{http.port}"
        phone, contact = await sandbox.phone(BOT_NUMBER), await sandbox.phone(CONTACT_NUMBER)
        await phone.scan(await daemon.qr("shop"))
        await daemon.until_state("shop", "connected")
        assert http.open == 1
        assert socks.opened == 0
        carried = http.carried
        await daemon.send("shop", "+" + CONTACT_NUMBER, "through http")
        await arrived(contact, "through http")
        assert http.carried > carried

        # its death is told, and mended when it comes back
        await http.kill()
        await daemon.until_state("shop", "reconnecting")
        await http.start()
        await daemon.until_state("shop", "connected", 90)
        assert http.open == 1

        # a change makes the connection again, and nothing else
        bot = await daemon.call("PATCH", "/v1/bots/shop", {"proxy": socks.url, "name": "Shop"})
        assert (bot["state"], bot["name"]) == ("starting", "Shop")
        await daemon.until_state("shop", "connected")
        assert (http.open, socks.open) == (0, 1)
        await daemon.send("shop", "+" + CONTACT_NUMBER, "through socks")
        await arrived(contact, "through socks")

        # it outlives a restart; a name alone leaves the connection in peace
        await daemon.stop()
        await daemon.start()
        await daemon.until_state("shop", "connected")
        assert socks.open == 1
        opened = socks.opened
        await daemon.call("PATCH", "/v1/bots/shop", {"name": "The shop", "proxy": socks.url})
        assert (await daemon.call("GET", "/v1/bots/shop"))["state"] == "connected"
        assert socks.opened == opened + 1  # the try

        # and without one it goes the way that all go
        await daemon.call("PATCH", "/v1/bots/shop", {"proxy": None})
        await daemon.until_state("shop", "connected")
        assert (http.open, socks.open) == (0, 0)
        statistics = await sandbox.call("GET", "/statistics")
        assert statistics["pairings"] == 1
        assert (await daemon.call("GET", "/v1/bots/shop"))["proxy"] is None
    for file in folder.rglob("*"):
        content = file.read_bytes() if file.is_file() else b""
        for secret in (PASSWORD.encode(), b"p%40ss", f":{socks.port}".encode()):
            assert secret not in content, file
