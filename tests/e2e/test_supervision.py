"""Why the daemon was started, the watchdog, and the renewal of the program: with the real engine."""

from __future__ import annotations

import asyncio
import signal
import socket
from pathlib import Path

from tests.harness.chat import BOT_NUMBER, CONTACT_NUMBER, arrived, linked_bot
from tests.harness.daemon import Daemon
from tests.harness.sandbox import Sandbox


async def reason(daemon: Daemon) -> str:
    """As `/readyz` and the event of this start tell it, which must agree."""
    ready = await daemon.call("GET", "/readyz")
    page = await daemon.call("GET", "/v1/events", types="daemon.started")
    newest = page["events"][-1]
    assert newest["data"]["reason"] == ready["started_because"]
    assert newest["bot"] is None
    return str(ready["started_because"])


async def test_the_program_renews_itself_without_loss_and_says_why_it_was_started(
    daemon: Daemon, sandbox: Sandbox
) -> None:
    await linked_bot(daemon, sandbox)
    contact = await sandbox.phone(CONTACT_NUMBER)
    assert await reason(daemon) == "first-start"
    pid, seq = daemon.program.pid, (await daemon.call("GET", "/v1/events", limit=1))["last_seq"]
    sending = asyncio.create_task(talk(contact))
    await daemon.renew()
    assert daemon.program.pid == pid
    assert await reason(daemon) == "restarted"
    await daemon.until_state("shop", "connected")
    sent = await sending
    async with daemon.events("message.received", after=seq) as events:
        got = [(await events.next())["data"]["text"] for _ in sent]
    assert sorted(got) == sorted(sent)
    await daemon.send("shop", CONTACT_NUMBER, "renewed", wait=20)
    await arrived(contact, "renewed")
    assert await daemon.end(signal.SIGABRT) == -signal.SIGABRT
    await daemon.start()
    assert await reason(daemon) == "crashed"
    await daemon.until_state("shop", "connected")
    await daemon.stop()
    await daemon.start()
    assert await reason(daemon) == "stopped"


async def talk(contact: object) -> list[str]:
    sent = [f"through the renewal {n}" for n in range(40)]
    for text in sent:
        await contact.send(BOT_NUMBER, text)  # type: ignore[attr-defined]
        await asyncio.sleep(0.05)
    return sent


async def test_systemd_is_fed_while_the_daemon_answers_and_not_while_it_stands(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(0)
        loop = asyncio.get_running_loop()
        folder = tmp_path / "daemon"
        folder.mkdir()
        watched = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "2000000"}
        async with Daemon(folder, **watched) as daemon, asyncio.timeout(40):
            told: list[bytes] = []
            while told.count(b"WATCHDOG=1") < 3:
                told.append(await loop.sock_recv(systemd, 200))
            assert b"READY=1" in told
            daemon.program.interrupt(signal.SIGSTOP)
            await asyncio.sleep(0.3)  # what was on its way
            while True:
                try:
                    systemd.recv(200)
                except BlockingIOError:
                    break
            try:
                async with asyncio.timeout(2):
                    assert await loop.sock_recv(systemd, 200) == b"", "fed while it stood"
            except TimeoutError:
                pass
            finally:
                daemon.program.interrupt(signal.SIGCONT)
            assert await loop.sock_recv(systemd, 200) == b"WATCHDOG=1"


async def test_a_bot_whose_login_ends_the_process_does_so_once(daemon: Daemon, sandbox: Sandbox) -> None:
    await linked_bot(daemon, sandbox)
    await linked_bot(daemon, sandbox, "other", "4915100000199")
    await sandbox.call("POST", "/faults", {"kind": "failure", "reason": 413, "phone": BOT_NUMBER})
    await daemon.call("POST", "/v1/bots/shop/restart")
    assert await daemon.program.wait() != 0
    await daemon.stop()
    await daemon.start()
    bot = await daemon.until_state("shop", "blocked")
    assert "ended the whole daemon (failure 413)" in bot["reason"]
    await daemon.until_state("other", "connected")
    await daemon.stop()
    await daemon.start()
    assert (await daemon.until_state("shop", "blocked"))["reason"] == bot["reason"]
    await sandbox.call("POST", "/faults", {"kind": "clear"})
    await daemon.call("POST", "/v1/bots/shop/connect")
    await daemon.until_state("shop", "connected")


async def test_looking_whether_it_is_ready_writes_nothing(daemon: Daemon) -> None:
    """Anybody may look, without a token; a write that is synced to the disk for each would be a way to wear it out."""

    async def writes() -> float:
        lines = (await daemon.text("/metrics")).splitlines()
        return float(next(line for line in lines if line.startswith("zapwire_store_writes_total")).split()[-1])

    before = await writes()
    for _ in range(200):
        assert (await daemon.ask("GET", "/readyz"))[0] == 200
    assert await writes() - before < 100, "the daemon's own beat and no more"
