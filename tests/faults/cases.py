"""The faults of the matrix: how each is provoked, what must be shown, how it is mended."""

from __future__ import annotations

import asyncio
import resource
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.faults.town import Town

Step = Callable[[Town], Awaitable[None]]

ITSELF = "by itself"
PERSON = "connect"
PAIRING = "pair again"
LASTS = 2.0
"""Seconds that a fault stays after it was noticed."""


@dataclass(frozen=True)
class Case:
    name: str
    provoke: Step
    states: tuple[str, ...] = ("reconnecting",)
    """One of these has to be shown; nothing for a fault that must not show."""
    code: str | None = None
    mended: str = ITSELF
    """Who ends it."""
    mend: Step | None = None
    """Takes the fault away; the sandbox's faults end anyway."""
    noticed_within: float = 20
    back_within: float = 60
    loses: bool = False
    """The victim may lose messages: its account is gone, or the process died in the window of E11."""
    once: bool = False
    """It is over as soon as it has happened: the time until the bot is back counts from its beginning."""
    quick: bool = False


def sandbox(kind: str, **values: Any) -> Step:
    return lambda town: town.fault(kind, **values)


def then_drop(kind: str, **values: Any) -> Step:
    async def provoke(town: Town) -> None:
        await town.fault(kind, **values)
        await town.fault("drop")

    return provoke


def signalled(number: signal.Signals, seconds: float) -> Step:
    async def provoke(town: Town) -> None:
        town.daemon.program.interrupt(number)
        await asyncio.sleep(seconds)
        town.daemon.program.interrupt(signal.SIGCONT)

    return provoke


# ---- the process and its machine


async def restart_bot(town: Town) -> None:
    await town.order("restart")


async def restart_daemon(town: Town) -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    assert await town.daemon.stop() == 0
    assert loop.time() - began < 30
    await town.daemon.start()


async def kill_daemon(town: Town) -> None:
    await town.daemon.end(signal.SIGKILL)
    await town.daemon.start()


async def abort_daemon(town: Town) -> None:
    await town.daemon.end(signal.SIGABRT)
    await town.daemon.start()


async def renew_daemon(town: Town) -> None:
    await town.daemon.renew()


async def stop_server(town: Town) -> None:
    await town.sandbox.stop()


async def start_server(town: Town) -> None:
    await town.sandbox.start()
    for chat in town.chats:
        chat.seen = 0  # phones do not remember their inbox


async def fill_disk(town: Town) -> None:
    """No file may grow any more: what SQLite gets then is what a full disk gives, an error of its writes."""
    _, hard = resource.prlimit(town.daemon.program.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(town.daemon.program.pid, resource.RLIMIT_FSIZE, (4096, hard))
    status = 200
    async with asyncio.timeout(20):
        while status != 503:
            await asyncio.sleep(0.2)
            status, _ = await town.daemon.ask("GET", "/readyz")


async def free_disk(town: Town) -> None:
    _, hard = resource.prlimit(town.daemon.program.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(town.daemon.program.pid, resource.RLIMIT_FSIZE, (hard, hard))
    async with asyncio.timeout(30):
        while (await town.daemon.ask("GET", "/readyz"))[0] != 200:  # noqa: ASYNC110
            await asyncio.sleep(0.1)


async def use_up_descriptors(town: Town) -> None:
    pid = town.daemon.program.pid
    used = max(int(entry.name) for entry in Path(f"/proc/{pid}/fd").iterdir())
    _, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    await town.order("disconnect")
    await asyncio.sleep(1)
    await town.order("connect")
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (used - 20, hard))
    await town.order("restart")


async def give_descriptors(town: Town) -> None:
    _, hard = resource.prlimit(town.daemon.program.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(town.daemon.program.pid, resource.RLIMIT_NOFILE, (min(hard, 4096), hard))


# ---- the way to WhatsApp, of one bot


async def behind_proxy(town: Town) -> None:
    if (await town.bot())["proxy"] is None:
        await town.change(proxy=town.proxy.url)
        await town.back(30)


async def kill_proxy(town: Town) -> None:
    await behind_proxy(town)
    await town.proxy.kill()


async def start_proxy(town: Town) -> None:
    await town.proxy.start()


async def swallow(town: Town) -> None:
    await behind_proxy(town)
    town.proxy.flowing.clear()


async def let_flow(town: Town) -> None:
    town.proxy.flowing.set()


async def lose_name(town: Town) -> None:
    await town.change(proxy="http://nowhere.invalid:8080", proxy_check=False)


async def find_name(town: Town) -> None:
    await town.change(proxy=None)


# ---- the auth database


def auth_file(town: Town) -> Path:
    return town.daemon.folder / "sessions" / "bots" / f"{town.victim.bot}.db"


def hurt(how: Callable[[Path], None]) -> Step:
    async def provoke(town: Town) -> None:
        await town.order("disconnect")
        await town.until(20, "stopped", after=len(town.states) - 1)
        await asyncio.sleep(1)  # the engine lets go of the file
        file = auth_file(town)
        for name in (file, *file.parent.glob(f"{file.name}-*")):
            name.with_name("kept-" + name.name).write_bytes(name.read_bytes())
        how(file)
        await town.order("connect")

    return provoke


async def restore(town: Town) -> None:
    await town.order("disconnect")
    await asyncio.sleep(1)
    file = auth_file(town)
    if file.is_dir():
        file.rmdir()
    for name in file.parent.glob(f"{file.name}*"):
        name.unlink()
    for kept in file.parent.glob(f"kept-{file.name}*"):
        kept.rename(kept.with_name(kept.name.removeprefix("kept-")))


def garbage(file: Path) -> None:
    """Of the size it had, and with a header of SQLite's that leads nowhere."""
    for name in file.parent.glob(f"{file.name}-*"):
        name.unlink()
    file.write_bytes(b"SQLite format 3\0" + b"\xa5" * (file.stat().st_size - 16))


def truncate(file: Path) -> None:
    for name in (file, *file.parent.glob(f"{file.name}-*")):
        name.write_bytes(b"")


def delete(file: Path) -> None:
    for name in (file, *file.parent.glob(f"{file.name}-*")):
        name.unlink()


def unreadable(file: Path) -> None:
    """For root nothing is unreadable but what is no file."""
    delete(file)
    file.mkdir()


# ---- pairing


async def kill_pairing_child(town: Town) -> None:
    """Of an eleventh bot, which must get a new code by itself."""
    daemon, pid = town.daemon, town.daemon.program.pid
    await daemon.add_bot("newcomer")
    first = await daemon.qr("newcomer")
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    for child in map(int, children):
        if "engine_child" in Path(f"/proc/{child}/cmdline").read_text():
            signal.pidfd_send_signal(_pidfd(child), signal.SIGKILL)
    again = await daemon.until_state("newcomer", "reconnecting")
    assert "pairing process ended" in again["reason"]
    await daemon.until_state("newcomer", "pairing")
    assert await daemon.qr("newcomer") != first
    await daemon.call("DELETE", "/v1/bots/newcomer")


def _pidfd(pid: int) -> int:
    import os  # noqa: PLC0415 - Linux only

    return os.pidfd_open(pid)


# ---- limits on the account


async def limit_strangers(town: Town) -> None:
    """A first message waits, the answers of the chat go on; over once the sandbox lets go."""
    await town.fault("message-error", code=463, strangers=True)
    stranger = await town.sandbox.phone("4915129999999")
    held = await town.daemon.send(town.victim.bot, stranger.number, "good day", wait=3)
    assert held["state"] == "queued"
    assert "463" in held["reason"]
    bot = await town.bot()
    assert bot["restriction"]["kind"] == "first-messages"
    assert bot["restriction"]["retry_after"] > 60
    await stranger.send(town.victim.number, "who are you?")
    await asyncio.sleep(1)
    message = await town.daemon.call("GET", f"/v1/bots/{town.victim.bot}/messages/{held['id']}", wait=10)
    assert message["state"] in {"sent", "delivered"}, "who has written is no stranger"


_LOGINS: tuple[tuple[int, dict[str, int], str, str, str], ...] = (
    (400, {}, "blocked", "refused", PERSON),
    (401, {}, "logged_out", "logged-out", PAIRING),
    (402, {"code": 101, "expire": 3}, "blocked", "banned", ITSELF),
    (402, {}, "blocked", "banned", PERSON),
    (403, {}, "logged_out", "locked", PAIRING),
    (405, {}, "blocked", "outdated", PERSON),
    (406, {}, "logged_out", "banned", PAIRING),
    (409, {}, "blocked", "refused", PERSON),
    (415, {}, "blocked", "refused", PERSON),
    (418, {}, "blocked", "refused", PERSON),
    (429, {}, "reconnecting", "busy", ITSELF),
    (428, {}, "blocked", "refused", PERSON),
    (463, {}, "blocked", "locked", PERSON),
    (500, {}, "reconnecting", "busy", ITSELF),
    (501, {}, "reconnecting", "busy", ITSELF),
    (503, {}, "reconnecting", "busy", ITSELF),
)
"""Not 413 and 414, which end the whole process (docs/engine.md's E22)."""

LOGIN = [
    Case(
        f"login failure {reason}" + (", a ban of 3 s" if more else ""),
        then_drop("failure", reason=reason, **more),
        (state,),
        code,
        mended,
        loses=mended == PAIRING,
        quick=reason in {402, 503},
        back_within=90,
    )
    for reason, more, state, code, mended in _LOGINS
]

STREAM = [
    Case("stream error 515", sandbox("stream-error", code=515), (), once=True),
    Case("stream error 516", sandbox("stream-error", code=516), (), once=True),
    Case("stream error 503", sandbox("stream-error", code=503), once=True),
    Case("stream error 500", sandbox("stream-error", code=500), once=True),
    Case("stream error xml-not-well-formed", sandbox("stream-error", child="xml-not-well-formed"), once=True),
    Case(
        "replaced by another connection",
        sandbox("stream-error", conflict="replaced"),
        ("blocked",),
        "replaced",
        PERSON,
        quick=True,
    ),
    Case(
        "device removed by the phone",
        sandbox("stream-error", code=401, conflict="device_removed"),
        ("logged_out",),
        "logged-out",
        PAIRING,
        loses=True,
    ),
]

SLOWLY: dict[str, Any] = {"noticed_within": 150, "back_within": 120}

NETWORK = [
    Case("connection cut once", sandbox("drop"), once=True, quick=True),
    Case("connection cut every second", sandbox("flap", seconds=1)),
    Case("connections refused", then_drop("refuse")),
    Case("connections refused, for all bots", then_drop("refuse", everybody=True), code="unreachable"),
    Case("server frozen", sandbox("freeze"), code="silent", **SLOWLY),
    Case("black hole: logins unanswered", then_drop("freeze"), **SLOWLY),
    Case("half-open connection", sandbox("half-open"), code="silent", **SLOWLY),
    Case("deaf: only keep-alives answered", sandbox("deaf"), ("connected",), "silent", **SLOWLY),
    Case("slow link, 1 kB/s", sandbox("slow", bytes_per_second=1000), ()),
    Case("proxy dead", kill_proxy, code="unreachable", mend=start_proxy, noticed_within=60),
    Case("black hole on the way", swallow, code="silent", mend=let_flow, **SLOWLY),
    Case("name that cannot be resolved (DNS)", lose_name, code="unreachable", mend=find_name),
    Case("server restarted", stop_server, mend=start_server, back_within=120),
]

MACHINE = [
    Case("bot restarted", restart_bot, ("starting",), once=True, quick=True),
    Case("daemon stopped for 5 s (SIGSTOP)", signalled(signal.SIGSTOP, 5), (), once=True, quick=True),
    Case("daemon restarted under load (SIGTERM)", restart_daemon, ("starting",), once=True, quick=True),
    Case("daemon renewed under load (SIGUSR2)", renew_daemon, ("starting",), once=True),
    Case("daemon killed (SIGKILL)", kill_daemon, ("starting",), once=True, loses=True),
    Case("Go runtime aborted (SIGABRT)", abort_daemon, ("starting",), once=True, loses=True),
    Case("disk full", fill_disk, (), mend=free_disk, back_within=90),
    Case("no file descriptors left", use_up_descriptors, ("reconnecting",), "store", mend=give_descriptors),
    Case("pairing process killed", kill_pairing_child, (), once=True),
    Case("auth database damaged", hurt(garbage), ("blocked",), "auth-damaged", PERSON, mend=restore, quick=True),
    Case("auth database unreadable", hurt(unreadable), ("reconnecting",), "store", PERSON, mend=restore),
    Case("auth database truncated", hurt(truncate), ("blocked",), "auth-damaged", PAIRING, loses=True),
    Case("auth database deleted, and put back", hurt(delete), ("blocked",), "auth-missing", PERSON, mend=restore),
    Case("error 463: no first messages", limit_strangers, (), once=True, quick=True),
]

CASES = [*NETWORK, *STREAM, *LOGIN, *MACHINE]
