"""`python -m bench.compare [NAME ...]`: all contenders, or those of these names (zapwire, neonize, baileys)."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path
from typing import Final

from bench.compare import contenders
from bench.compare.contenders import Contender
from bench.compare.measure import Result, measure
from tests.harness.sandbox import Sandbox

Open = Callable[[Path, Sandbox], AbstractAsyncContextManager[Contender]]

_ALL: Final[dict[str, Open]] = {
    "zapwire": contenders.zapwire,
    "baileys": contenders.baileys,
    "neonize-full": partial(contenders.neonize, synchronous="FULL"),
    "neonize-normal": partial(contenders.neonize, synchronous="NORMAL"),
}
_ROWS: Final = (
    ("API call to stanza, one after another, p50", "send_p50", "ms"),
    ("the same, p99", "send_p99", "ms"),
    ("sends, 4 bots, 8 at once", "send_rate", "/s"),
    ("processor for each send, with receipts and webhooks", "send_cpu", "ms"),
    ("stanza to webhook, 20/s, p50", "in_p50", "ms"),
    ("the same, p99", "in_p99", "ms"),
    ("a burst of 1,000 in", "in_rate", "/s"),
    ("processor for each message in", "in_cpu", "ms"),
)


async def compare(folder: Path, wanted: list[str]) -> list[Result]:
    """Those whose names begin with one of *wanted* (all without any), one after the other, on one sandbox."""
    (folder / "sandbox").mkdir()
    results = []
    async with Sandbox(folder / "sandbox") as sandbox:
        for name, open_one in _ALL.items():
            if wanted and not name.startswith(tuple(wanted)):
                continue
            if name == "baileys" and not contenders.node_is_there():
                print("no node here: the Baileys server is left out", flush=True)
                continue
            async with open_one(folder / name, sandbox) as contender:
                results.append(await measure(contender, sandbox))
                print(results[-1], flush=True)
    return results


def markdown(results: list[Result]) -> str:
    """A row for each figure, a column for each contender."""
    head = ["| | " + " | ".join(one.name for one in results) + " |", "|---|" + "---|" * len(results)]
    rows = [
        f"| {what} | " + " | ".join(f"{getattr(one, field):,.1f} {unit}" for one in results) + " |"
        for what, field, unit in _ROWS
    ]
    return "\n".join(head + rows)


def main() -> None:
    """Measure, and print the table."""
    with tempfile.TemporaryDirectory(prefix="zapwire-compare-") as folder:
        print("\n" + markdown(asyncio.run(compare(Path(folder), sys.argv[1:]))))


if __name__ == "__main__":
    main()
