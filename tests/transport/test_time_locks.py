"""A reach-out time-lock, which the real engine tells of only in its log of stanzas."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.harness.sandbox import Sandbox
from tests.transport.driven import Driven

NUMBER = "4915510000001"
OTHER = "4915510000002"


async def test_its_end_is_told_and_that_it_is_over_and_what_strangers_write_is_neither(
    tmp_path: Path, sandbox: Sandbox
):
    async with Driven(tmp_path, sandbox.descriptor_file, env={"DRIVER_SEES_TIME_LOCKS": "1"}) as driver:
        bot = driver.bot("one")
        await bot("start")
        await (await sandbox.phone(NUMBER)).scan((await bot.until("QrCode"))["code"])
        await bot.until("Connected")
        other = await sandbox.phone(OTHER)
        lie = '<notification type="mex" from="s.whatsapp.net"><update>{"data":{"xwa2_notify_account_reachout_timelock":'
        lie += '{"is_active":true,"time_enforcement_ends":"4000000000"}}}</update></notification>'
        await sandbox.call("POST", "/phones", {"phone": OTHER, "push_name": lie})
        await other.send(NUMBER, lie)
        await bot.until("Received")
        await sandbox.call("POST", "/faults", {"kind": "time-lock", "phone": NUMBER, "seconds": 7200})
        until = datetime.fromisoformat((await bot.until("TimeLocked"))["until"])
        assert timedelta(minutes=115) < until - datetime.now(UTC) < timedelta(minutes=121)
        await sandbox.call("POST", "/faults", {"kind": "time-lock", "phone": NUMBER, "seconds": 0})
        assert (await bot.until("TimeLocked"))["until"] is None
        await other.send(NUMBER, "still here")
        await bot.until("Received")
    assert "xwa2_notify" not in driver.log_text()
