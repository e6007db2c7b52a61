"""Each fault hits one of ten chatting bots: what it shows, who mends it, how long it takes, and that nine lost nothing.

The quick faults run in every CI. All of them are `soak`; they write the table of docs/reliability.md to the file that
`ZAPWIRE_FAULT_TABLE` names.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.faults.cases import CASES, LASTS, PAIRING, PERSON, Case
from tests.faults.town import Town, open_town

HEAD = """| fault | state, code | action | noticed after | mended | back after | lost by it |
|---|---|---|---|---|---|---|
"""
QUICK = [case for case in CASES if case.quick]


@pytest_asyncio.fixture
async def town(tmp_path: Path) -> AsyncIterator[Town]:
    async with open_town(tmp_path) as running:
        yield running


class Row:
    """One line of the table."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.state = self.code = self.action = "-"
        self.noticed: float | None = None
        self.back = 0.0
        self.lost = self.unknown = 0

    def __str__(self) -> str:
        noticed = "-" if self.noticed is None else f"{self.noticed:.1f} s"
        state = self.state if self.code == "-" else f"{self.state}, `{self.code}`"
        lost = f"{self.lost}, {self.unknown} `unknown`" if self.unknown else self.lost
        cells = (self.case.name, state, self.action, noticed, self.case.mended, f"{self.back:.1f} s", lost)
        return "| " + " | ".join(map(str, cells)) + " |"


async def suffer(town: Town, case: Case) -> Row:
    loop, row, before = asyncio.get_running_loop(), Row(case), len(town.states)
    began = loop.time()
    await case.provoke(town)
    if case.states:
        shown = await town.until(case.noticed_within, *case.states, code=case.code, after=before)
        row.noticed = loop.time() - began
        row.state, row.code, row.action = shown["state"], shown["code"] or "-", shown["action"] or "-"
        assert row.state in {"reconnecting", "starting"} or row.action != "-", shown
    if not case.once:
        await asyncio.sleep(LASTS)
        began = loop.time()
    if case.mend is not None:
        await case.mend(town)
    if case.name != "server restarted":
        await town.clear()
    if case.mended == PAIRING and row.state == "blocked":
        await town.order("logout")
        await town.until(20, "logged_out", after=before)
    if case.mended in {PERSON, PAIRING}:
        await town.order("connect")
    if case.mended == PAIRING:
        await town.victim.phone.scan(await town.daemon.qr(town.victim.bot))
    await town.back(case.back_within)
    row.back = loop.time() - began
    lost = await town.lost(town.others)
    assert lost == [], f"{case.name}: the others lost {lost}"
    lost = await town.lost([town.victim], 15 if case.loses else 60)
    if lost and set(lost) <= set(await town.unknown(town.victim)):
        row.unknown, lost = len(lost), []
    row.lost = len(lost)
    assert case.loses or lost == [], f"{case.name}: the victim lost {lost}"
    town.forget(town.victim)
    return row


@pytest.mark.timeout(400)
async def test_the_quick_faults(town: Town) -> None:
    for case in QUICK:
        print(await suffer(town, case))


@pytest.mark.soak
@pytest.mark.timeout(3600)
async def test_every_fault(town: Town) -> None:
    rows: list[Row] = []
    failed: list[str] = []
    for case in CASES:
        try:
            rows.append(await suffer(town, case))
            print(rows[-1], flush=True)
        except AssertionError as error:  # the others are still worth knowing
            failed.append(str(error))
            print(f"FAILED {case.name}: {error}", flush=True)
            await town.recover()
    if table := os.environ.get("ZAPWIRE_FAULT_TABLE"):
        Path(table).write_text(HEAD + "".join(f"{row}\n" for row in rows))
    assert not failed, "\n".join(failed)
