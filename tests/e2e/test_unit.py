"""The systemd unit: what it takes from the daemon, and that the daemon does not miss it."""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.harness.chat import CONTACT_NUMBER, arrived, linked_bot
from tests.harness.daemon import Daemon
from tests.harness.program import Program
from tests.harness.receiver import Receiver
from tests.harness.sandbox import Sandbox

UNIT = Path(__file__).parents[2] / "systemd" / "zapwire.service"
WORST = 1.5
analyzed = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")


def directives() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in UNIT.read_text().splitlines():
        name, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found.setdefault(name, []).append(value)
    return found


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("LimitCORE", ["0"]),  # a core holds keys, tokens and messages
        ("MemorySwapMax", ["0"]),  # so does what is swapped out
        ("MemoryMax", ["2G"]),
        ("DynamicUser", ["yes"]),
        ("NoNewPrivileges", ["yes"]),
        ("CapabilityBoundingSet", [""]),
        ("PrivateUsers", ["yes"]),
        ("ProtectSystem", ["strict"]),
        ("ProtectProc", ["invisible"]),
        ("SystemCallFilter", ["@system-service", "~@privileged @resources"]),
        ("SystemCallErrorNumber", ["EPERM"]),  # a kill would end all bots
        ("WatchdogSec", ["30"]),
        ("RestartPreventExitStatus", ["2"]),
        ("Environment", ["ZAPWIRE_SESSIONS_DIR=/var/lib/zapwire", "NEONIZE_BOT_TAG=off"]),
    ],
)
def test_what_keeps_secrets_in_and_bots_up_is_there(name: str, values: list[str]) -> None:
    assert directives()[name] == values


@pytest.mark.parametrize("name", ["MemoryDenyWriteExecute", "ProcSubset", "IPAddressDeny", "PrivateNetwork"])
def test_what_the_daemon_could_not_live_with_is_not(name: str) -> None:
    assert name not in directives()


@analyzed
def test_systemd_finds_nothing_wrong_and_little_exposed(tmp_path: Path) -> None:
    unit = tmp_path / "zapwire.service"
    unit.write_text(UNIT.read_text().replace("/opt/zapwire/.venv", sys.prefix))
    checked = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")
    report = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", str(unit)], capture_output=True, text=True, check=True
    ).stdout
    exposure = re.search(r"Overall exposure level for zapwire.service: ([\d.]+)", report)
    assert exposure is not None
    assert float(exposure[1]) <= WORST


def calls_of(group: str) -> set[str]:
    """The system calls of one of systemd's groups, `@system-service` say."""
    told = subprocess.run(
        ["systemd-analyze", "syscall-filter", group], capture_output=True, text=True, check=True
    ).stdout
    names = [line.strip() for line in told.splitlines()[1:] if line.strip() and not line.strip().startswith("#")]
    return {call for name in names for call in (calls_of(name) if name.startswith("@") else {name})}


@analyzed
async def test_the_daemon_lives_within_the_units_system_calls(
    tmp_path: Path, sandbox: Sandbox, receiver: Receiver
) -> None:
    allowed, refused = directives()["SystemCallFilter"]
    names = calls_of("@default").union(*map(calls_of, allowed.split()))
    names -= set[str]().union(*map(calls_of, refused.removeprefix("~").split()))
    names |= calls_of("@default")
    assert {"execve", "openat", "epoll_wait"} <= names
    assert not names & {"fchown", "setuid", "ptrace", "mount", "bpf"}
    (tmp_path / "calls").write_text(" ".join(sorted(names)))
    (tmp_path / "daemon").mkdir()
    daemon = Daemon(tmp_path / "daemon", sandbox.descriptor_file)
    environment = {**daemon.program._env, "SYSTEM_CALLS": str(tmp_path / "calls")}
    daemon.program = Program(tmp_path / "daemon.log", "tests.harness.filtered", "zapwire", "serve", env=environment)
    async with daemon:
        status = Path(f"/proc/{daemon.program.pid}/status").read_text()
        assert re.search(r"^Seccomp:\s+2$", status, re.MULTILINE)
        await daemon.call("POST", "/v1/webhooks", {"url": receiver.url, "events": ["message.received"]})
        phone = await linked_bot(daemon, sandbox)
        contact = await sandbox.phone(CONTACT_NUMBER)
        await daemon.send("shop", CONTACT_NUMBER, "from within", wait=20)
        await arrived(contact, "from within")
        await contact.send(phone.number, "to within")
        async with asyncio.timeout(30):
            told = (await receiver.deliveries.get()).json()
        assert told["data"]["text"] == "to within"
        exporting = daemon._http.post("/v1/bots/shop/export", json={"passphrase": "a passphrase of some length"})
        async with exporting as bundle:
            assert bundle.status == 200
        await daemon.renew()
        await daemon.until_state("shop", "connected")
        assert "Operation not permitted" not in (tmp_path / "daemon.log").read_text()
