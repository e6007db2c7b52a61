"""The engine's table seen from outside, in a process of its own: a client is there before its dial is done."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.harness.builds import is_known

PROGRAM = """
import json, os, sys, threading, time
from pathlib import Path
from zapwire.transport.whatsapp_web.engine.engine import library_path
from zapwire.transport.whatsapp_web.engine.exports import EVENT_CALLBACK, LOG_CALLBACK, TEXT_CALLBACK
from zapwire.transport.whatsapp_web.engine.library import Library

library = Library(library_path())
sizes = [library.table.size()]
nothing = (TEXT_CALLBACK(lambda *_: None), TEXT_CALLBACK(lambda *_: None), EVENT_CALLBACK(lambda *_: None),
           LOG_CALLBACK(lambda *_: None))

def seen(wanted):
    until = time.monotonic() + 20
    while library.table.size() != wanted and time.monotonic() < until:
        time.sleep(0.001)
    sizes.append(library.table.size())

for number in (1, 2):
    database = f"{sys.argv[1]}/{number}.db?_foreign_keys=on&_rest=".encode()
    arguments = (database, f"bot-{number}".encode(), b"", b"", nothing)
    threading.Thread(target=library.start, args=arguments, kwargs={"proxy": sys.argv[2]}, daemon=True).start()
    seen(number)
sys.stdin.readline()  # both dials have failed: before that nothing can be stopped
library.stop(b"bot-1")
seen(1)
print(json.dumps(sizes), flush=True)
os._exit(0)
"""


@pytest.mark.skipif(not is_known(), reason="the table of this build is not known")
async def test_a_client_is_in_the_table_while_it_dials(tmp_path: Path) -> None:
    dialling, release = asyncio.Semaphore(0), asyncio.Event()

    async def accept(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """A proxy that takes the connection and is silent until it hangs up."""
        dialling.release()
        await release.wait()
        writer.close()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    proxy = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PROGRAM, str(tmp_path), proxy, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    async with asyncio.timeout(60):
        for _ in range(2):
            await dialling.acquire()
        release.set()
        output = (await process.communicate(b"go on\n"))[0].decode()
    server.close()
    sizes = next(line for line in output.splitlines() if line.startswith("["))  # the engine prints, too
    assert json.loads(sizes) == [0, 1, 2, 1]
