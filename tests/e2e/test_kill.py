"""kill -9 at any moment: nothing is lost, nothing is stored twice, order holds, and everybody can resume."""

from __future__ import annotations

import random

import pytest

from tests.e2e import killing
from tests.harness.daemon import Daemon
from tests.harness.receiver import Receiver
from tests.harness.sandbox import Sandbox


async def account_for(
    daemon: Daemon, sandbox: Sandbox, receiver: Receiver, capsys: pytest.CaptureFixture[str], kills: int, messages: int
) -> None:
    seed = random.randrange(1 << 32)
    account = await killing.run(daemon, sandbox, receiver, kills=kills, messages=messages, chance=random.Random(seed))
    with capsys.disabled():
        print(f"\n{account.line()} (seed {seed})")
    account.check()
    # One is lost when its acknowledgement left before its callback got the interpreter: see docs/operating.md.
    # On a machine that lets it wait, several in a row: bounded by the calls that the engine makes meanwhile.
    assert len(account.lost) <= 2 * kills + 4


@pytest.mark.timeout(120)
async def test_three_kills_amid_300_messages(
    daemon: Daemon, sandbox: Sandbox, receiver: Receiver, capsys: pytest.CaptureFixture[str]
) -> None:
    await account_for(daemon, sandbox, receiver, capsys, 3, 300)


@pytest.mark.soak
@pytest.mark.timeout(900)
async def test_twenty_kills_amid_1000_messages(
    daemon: Daemon, sandbox: Sandbox, receiver: Receiver, capsys: pytest.CaptureFixture[str]
) -> None:
    await account_for(daemon, sandbox, receiver, capsys, 20, 1000)
