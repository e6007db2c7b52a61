"""The command line and the daemon as a process."""

from __future__ import annotations

import asyncio
import os
import re
import resource
import shlex
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from tests.harness.disk import SmallDisk

LONG = "a-token-of-more-than-thirty-two-characters"


class Running:
    """`zapwire ...` in a folder of its own; everything that it says is kept."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.said: list[str] = []

    async def line(self, containing: str) -> str:
        assert self.process.stdout is not None
        async with asyncio.timeout(30):
            while line := (await self.process.stdout.readline()).decode():
                self.said.append(line.rstrip("\n"))
                if containing in line:
                    return self.said[-1]
        raise AssertionError(f"it ended without saying {containing!r}: {self.said}")

    async def end(self, how: signal.Signals = signal.SIGTERM) -> tuple[int, str]:
        """Exit code, and what it logged."""
        if self.process.returncode is None:
            self.process.send_signal(how)
        return await self.rest()

    async def rest(self) -> tuple[int, str]:
        async with asyncio.timeout(30):
            out, err = await self.process.communicate()
        self.said += out.decode().splitlines()
        assert self.process.returncode is not None
        return self.process.returncode, err.decode()


@asynccontextmanager
async def zapwire(folder: Path, *arguments: str, **variables: str) -> AsyncIterator[Running]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ZAPWIRE_")}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "zapwire", *arguments, cwd=folder,
        env={**kept, "XDG_CONFIG_HOME": str(folder), "ZAPWIRE_LISTEN": "127.0.0.1:0", **variables},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        yield Running(process)
    finally:
        if process.returncode is None:
            process.kill()
        assert process.stderr is not None
        print((await process.stderr.read()).decode())  # something is left only when the test has failed
        await process.wait()


async def run(folder: Path, *arguments: str, **variables: str) -> tuple[int, str, str]:
    async with zapwire(folder, *arguments, **variables) as program:
        code, err = await program.rest()
        return code, "\n".join(program.said), err


async def status(url: str, token: str) -> int:
    async with aiohttp.ClientSession() as http, http.get(f"{url}/v1/bots", headers={"X-Api-Key": token}) as answer:
        return answer.status


def address(line: str) -> str:
    found = re.search(r"http://127\.0\.0\.1:\d+", line)
    assert found
    return found[0]


async def test_the_first_token_works_and_is_shown_once(tmp_path: Path) -> None:
    async with zapwire(tmp_path, "serve") as daemon:
        url = address(await daemon.line("zapwire listening on"))
        secret = (await daemon.line("first token")).split()[-1]
        assert (await daemon.line("open the page")).endswith(f"{url}/#token={secret}")
        assert await status(url, secret) == 200
        code, log = await daemon.end()
    assert code == 0
    assert secret not in log
    async with zapwire(tmp_path, "serve") as daemon:
        url = address(await daemon.line("zapwire listening on"))
        assert await status(url, secret) == 200
        await daemon.end(signal.SIGINT)
    assert not any("token" in line for line in daemon.said)


async def test_with_an_admin_token_none_is_made(tmp_path: Path) -> None:
    async with zapwire(tmp_path, "serve", ZAPWIRE_ADMIN_TOKEN=LONG) as daemon:
        url = address(await daemon.line("zapwire listening on"))
        assert await status(url, LONG) == 200
        code, log = await daemon.end()
    assert code == 0
    assert LONG not in log
    assert len(daemon.said) == 1


async def test_tokens_are_made_listed_and_revoked_beside_a_running_daemon(tmp_path: Path) -> None:
    async with zapwire(tmp_path, "serve", ZAPWIRE_ADMIN_TOKEN=LONG) as daemon:
        url = address(await daemon.line("zapwire listening on"))
        code, secret, _ = await run(tmp_path, "token", "create", "laptop")
        assert code == 0
        assert await status(url, secret) == 200
        _, listed, _ = await run(tmp_path, "token", "list")
        assert "laptop" in listed
        assert secret not in listed
        code, said, _ = await run(tmp_path, "token", "revoke", "laptop")
        assert (code, re.fullmatch(r"revoked tok_\w+ \(laptop\)", said) is not None) == (0, True)
        async with asyncio.timeout(10):
            while await status(url, secret) != 401:
                pass
        code, _, err = await run(tmp_path, "token", "revoke", "laptop")
        assert (code, len(err.splitlines())) == (1, 1)


async def test_a_name_that_two_tokens_have_revokes_neither(tmp_path: Path) -> None:
    async with zapwire(tmp_path, "serve", ZAPWIRE_ADMIN_TOKEN=LONG) as daemon:
        await daemon.line("zapwire listening on")
        await daemon.end()
    for _ in range(2):
        await run(tmp_path, "token", "create", "ana")
    ids = re.findall(r"tok_\w+", (await run(tmp_path, "token", "list"))[1])
    code, said, err = await run(tmp_path, "token", "revoke", "ana")
    assert (code, said, len(err.splitlines())) == (1, "", 1)
    assert re.findall(r"tok_\w+", err) == ids
    assert re.findall(r"tok_\w+", (await run(tmp_path, "token", "list"))[1]) == ids
    code, said, _ = await run(tmp_path, "token", "revoke", ids[0])
    assert (code, said) == (0, f"revoked {ids[0]} (ana)")
    await run(tmp_path, "token", "create", "ana")
    code, said, _ = await run(tmp_path, "token", "revoke", "ana", "--all")
    assert (code, len(said.splitlines())) == (0, 2)
    code, _, err = await run(tmp_path, "token", "revoke", "ana", "--all")
    assert (code, "no token" in err) == (1, True)


async def test_the_command_that_the_log_names_makes_a_token_for_this_daemon(tmp_path: Path) -> None:
    async with zapwire(tmp_path, "serve", ZAPWIRE_SESSIONS_DIR="a folder", ZAPWIRE_ADMIN_TOKEN=LONG) as daemon:
        url = address(await daemon.line("zapwire listening on"))
        assert await status(url, LONG) == 200
        daemon.process.terminate()
        _, log = await daemon.rest()
    named = re.search(r"new_token=(.*NAME)$", log, re.MULTILINE)
    assert named is not None
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    arguments = shlex.split(named[1])
    assert arguments[:3] == [sys.executable, "-m", "zapwire"]
    assert (await run(elsewhere, *arguments[3:]))[0] == 0
    async with zapwire(tmp_path, "serve", ZAPWIRE_SESSIONS_DIR="a folder", ZAPWIRE_ADMIN_TOKEN=LONG) as daemon:
        await daemon.line("zapwire listening on")
        await daemon.end()
    assert "NAME" in (await run(tmp_path, "token", "list", "--sessions-dir", "a folder"))[1]


async def test_a_script_is_named_so_that_it_is_found_from_anywhere(tmp_path: Path) -> None:
    script = tmp_path / "zapwire"
    script.write_text("from zapwire.cli import main\nmain()\n")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "zapwire", "serve", cwd=tmp_path, stdout=-1, stderr=-1,
        env={**os.environ, "ZAPWIRE_LISTEN": "127.0.0.1:0", "XDG_CONFIG_HOME": str(tmp_path)},
    )  # fmt: skip
    daemon = Running(process)
    await daemon.line("zapwire listening on")
    _, log = await daemon.end()
    assert f"new_token={script} token create --sessions-dir {tmp_path / 'sessions'} NAME" in log


async def test_doctor_finds_no_fault_in_a_sandboxs_folder(tmp_path: Path) -> None:
    async with zapwire(tmp_path, "serve", "--sandbox") as daemon:
        await daemon.line("open the page")
        await daemon.end()
    proxy = {"HTTPS_PROXY": "http://127.0.0.1:9"}  # leads nowhere
    code, said, err = await run(tmp_path, "doctor", "--sessions-dir", "sessions/demo", **proxy)
    assert (code, err) == (0, ""), said
    assert "bots are a sandbox's" in said
    code, _, err = await run(tmp_path, "doctor", "--sessions-dir", "sessions/other", **proxy)
    assert (code, "1 fault;" in err) == (1, True)


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        (
            {"ZAPWIRE_ADMIN_TOKEN": "short"},
            "admin_token (environment variable ZAPWIRE_ADMIN_TOKEN): must have at least 32",
        ),
        ({"ZAPWIRE_LISTEN": "nowhere"}, "listen (environment variable ZAPWIRE_LISTEN): must be host:port"),
        ({"ZAPWIRE_WHATSAPP_SERVER": "/nonexistent.json"}, "/nonexistent.json"),
        ({"ZAPWIRE_CONFIG": "/nonexistent.toml"}, "/nonexistent.toml"),
    ],
)
async def test_bad_settings_end_it_with_one_line(tmp_path: Path, variables: dict[str, str], words: str) -> None:
    code, out, err = await run(tmp_path, "serve", **variables)
    assert (code, out) == (2, "")
    assert words in err
    assert len(err.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


async def test_an_address_in_use_is_told_before_anything_starts(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        code, _, err = await run(tmp_path, "serve", "--listen", f"127.0.0.1:{taken.getsockname()[1]}")
    assert code == 2
    assert "cannot listen on 127.0.0.1:" in err
    assert "--listen" in err
    assert not (tmp_path / "sessions").exists()


@pytest.mark.parametrize("more", [[], ["--sandbox"]], ids=["serve", "sandbox"])
@pytest.mark.parametrize("folder", ["/proc/nowhere", "/proc/self/fd/0/x"])
async def test_a_sessions_folder_that_cannot_be_made_is_told(tmp_path: Path, folder: str, more: list[str]) -> None:
    code, out, err = await run(tmp_path, "serve", "--sessions-dir", folder, *more)
    assert (code, out) == (2, "")
    assert err.startswith(f"zapwire: sessions_dir: {folder} cannot be created: ")
    assert len(err.splitlines()) == 1


async def test_tokens_are_not_made_where_no_daemon_is(tmp_path: Path) -> None:
    for arguments in (["create", "laptop"], ["list"], ["revoke", "laptop"]):
        code, out, err = await run(tmp_path, "token", *arguments, "--sessions-dir", "typo")
        assert (code, out) == (2, "")
        assert err.startswith("zapwire: database: there is none at typo/zapwire.db")
    assert list(tmp_path.iterdir()) == []


async def test_a_second_daemon_on_the_same_database_is_refused(tmp_path: Path) -> None:
    async with zapwire(tmp_path, "serve") as daemon:
        await daemon.line("zapwire listening on")
        code, out, err = await run(tmp_path, "serve")
        assert (code, out) == (1, "")
        assert "another zapwire daemon" in err


async def test_systemd_is_told(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(0)
        loop = asyncio.get_running_loop()
        async with zapwire(tmp_path, "serve", NOTIFY_SOCKET=str(tmp_path / "notify")) as daemon, asyncio.timeout(30):
            assert await loop.sock_recv(systemd, 100) == b"READY=1"
            await daemon.end()
            assert await loop.sock_recv(systemd, 100) == b"STOPPING=1"


async def test_a_mistyped_variable_is_warned_of(tmp_path: Path) -> None:
    async with zapwire(tmp_path, "serve", ZAPWIRE_LISTNE="x") as daemon:
        await daemon.line("zapwire listening on")
        _, log = await daemon.end()
    assert "ZAPWIRE_LISTNE is no setting" in log


async def test_the_sandbox_comes_and_goes_with_the_daemon(tmp_path: Path) -> None:
    async with zapwire(tmp_path, "serve", "--sandbox") as daemon:
        link = (await daemon.line("open the page")).split(": ", 1)[1]
        url, token = link.split("/#token=")
        async with aiohttp.ClientSession(headers={"X-Api-Key": token}) as http:
            async with http.get(f"{url}/v1/sandbox") as answer:
                page = (await answer.json())["page"]
            async with http.get(page) as answer:
                assert "Sandbox phones" in await answer.text()
        code, log = await daemon.end()
    assert code == 0
    assert "NOT connected to WhatsApp" in log
    assert not (tmp_path / "sessions" / "zapwire.db").exists()
    with pytest.raises(aiohttp.ClientConnectionError):
        await status(page.rstrip("/"), token)
    async with zapwire(tmp_path, "serve", "--sandbox") as daemon:
        assert (await daemon.line("open the page")).endswith(f"#token={token}")
        await daemon.end()


def sandbox_of(daemon: Running) -> int:
    (child,) = Path(f"/proc/{daemon.process.pid}/task/{daemon.process.pid}/children").read_text().split()
    return int(child)


def has_ended(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


async def test_a_killed_daemons_sandbox_is_waited_for(tmp_path: Path) -> None:
    async with zapwire(tmp_path, "serve", "--sandbox") as killed:
        await killed.line("open the page")
        slow = sandbox_of(killed)
        os.kill(slow, signal.SIGSTOP)
        killed.process.kill()
        asyncio.get_running_loop().call_later(4, os.kill, slow, signal.SIGCONT)
        try:
            async with zapwire(tmp_path, "serve", "--sandbox") as daemon:
                await daemon.line("open the page")
                assert has_ended(slow)
                assert (await daemon.end())[0] == 0
        finally:
            if not has_ended(slow):
                os.kill(slow, signal.SIGCONT)
        await killed.rest()


async def test_a_sandbox_that_dies_ends_the_daemon_with_a_word(tmp_path: Path) -> None:
    async with zapwire(tmp_path, "serve", "--sandbox") as daemon:
        await daemon.line("open the page")
        os.kill(sandbox_of(daemon), signal.SIGKILL)
        code, log = await daemon.rest()
    assert code == 1
    assert "the sandbox has ended by itself, by signal 9" in log
    assert "Traceback" not in log


async def test_version_and_settings(tmp_path: Path) -> None:
    code, out, _ = await run(tmp_path, "--version")
    assert code == 0
    assert re.fullmatch(r"zapwire \d+\.\d+\.\d+", out)
    assert "ZAPWIRE_SESSIONS_DIR" in (await run(tmp_path, "settings"))[1]


@pytest.mark.parametrize(("mode", "words"), [(0o777, "others can write into"), (0o755, "others can look into")])
async def test_a_folder_that_is_everybodys_is_warned_of(tmp_path: Path, mode: int, words: str) -> None:
    (tmp_path / "sessions").mkdir()
    (tmp_path / "sessions").chmod(mode)
    async with zapwire(tmp_path, "serve") as daemon:
        await daemon.line("zapwire listening on")
        _, log = await daemon.end()
    assert f"{words} the sessions folder sessions (mode {mode:04o})" in log


async def test_a_start_on_a_full_disk_ends_with_a_sentence(tmp_path: Path) -> None:
    with SmallDisk(tmp_path / "disk") as disk:
        disk.folder.chmod(0o700)
        (disk.folder / "zapwire.lock").touch()
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        disk.fill(os.getpid(), disk.folder / "zapwire.lock")
        try:
            code, _, err = await run(tmp_path, "serve", ZAPWIRE_SESSIONS_DIR=str(disk.folder))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (code, len(err.splitlines())) == (1, 1), err
    assert err.startswith(f"zapwire: cannot write to the sessions folder {disk.folder}: ")


async def test_where_no_code_may_be_made_it_says_so(tmp_path: Path) -> None:
    """As under systemd's MemoryDenyWriteExecute: prctl(2)'s PR_SET_MDWE, which stays over an exec."""
    code = "import ctypes, os, sys; ctypes.CDLL(None).prctl(65, 1, 0, 0, 0); os.execv(sys.executable, sys.argv[1:])"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, sys.executable, "-m", "zapwire", "serve",
        "--sessions-dir", str(tmp_path / "sessions"), "--listen", "127.0.0.1:0", stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    _, err = await process.communicate()
    assert process.returncode == 2
    assert "MemoryDenyWriteExecute" in err.decode().splitlines()[-1]
    assert "Traceback" not in err.decode()


SECRETS = {
    "ZAPWIRE_ADMIN_TOKEN": LONG,
    "ZAPWIRE_MASTER_KEY": "5" * 64,
    "CREDENTIALS_DIRECTORY": "/nonexistent/credentials",
    "NOTIFY_SOCKET": "/nonexistent/notify",
    "CLOUD_TOKEN": "of-somebody-else",
    "GOOGLE_API_KEY": "of-a-cloud",
}


def environments(daemon: Running) -> dict[str, dict[str, str]]:
    """Of every child: its arguments, and the environment that it was started with."""
    found = {}
    for threads in Path(f"/proc/{daemon.process.pid}/task").glob("*/children"):
        for child in threads.read_text().split():
            entries = Path(f"/proc/{child}/environ").read_text().split("\0")
            command = Path(f"/proc/{child}/cmdline").read_text().replace("\0", " ")
            found[command] = dict(entry.split("=", 1) for entry in entries if "=" in entry)
    return found


async def test_no_child_knows_a_secret(tmp_path: Path) -> None:
    async with zapwire(tmp_path, "serve", "--sandbox", **SECRETS) as daemon:
        url = address(await daemon.line("zapwire listening on"))
        async with aiohttp.ClientSession(url, headers={"X-Api-Key": LONG}) as http:
            async with http.post("/v1/bots", json={"id": "shop"}) as answer:
                assert answer.status == 201
            async with http.get("/v1/bots/shop/qr", params={"wait": 30}) as answer:
                assert answer.status == 200
        children = environments(daemon)
        await daemon.end()
    assert {"zapwire.sandbox", "zapwire.transport.whatsapp_web.pairing.engine_child.child"} == {
        command.split(" -m ")[1].split()[0] for command in children
    }
    for environment in children.values():
        assert environment["PATH"]
        assert not set(environment) & set(SECRETS)
        assert not set(environment.values()) & set(SECRETS.values())


async def test_a_sandbox_of_its_own_knows_no_secret(tmp_path: Path) -> None:
    async with zapwire(tmp_path, "sandbox", **SECRETS) as program:
        await program.line("socket_url")
        known = Path(f"/proc/{program.process.pid}/environ").read_text()
        await program.end()
    assert not any(secret in known for secret in SECRETS.values())


@pytest.mark.parametrize(("variables", "allowed"), [({}, False), ({"ZAPWIRE_CORE_DUMPS": "true"}, True)])
async def test_a_crash_leaves_no_core_unless_that_is_wanted(
    tmp_path: Path, variables: dict[str, str], allowed: bool
) -> None:
    async with zapwire(tmp_path, "serve", **variables) as daemon:
        await daemon.line("zapwire listening on")
        limits = Path(f"/proc/{daemon.process.pid}/limits").read_text()
        assert bool(re.search(r"Max core file size +0 +0 ", limits)) != allowed
        code, _ = await daemon.end(signal.SIGABRT)
        assert code == -signal.SIGABRT
