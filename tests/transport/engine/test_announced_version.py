"""Where the engine's version stands: a library of its own for each case, as it cannot be loaded twice."""

from __future__ import annotations

import subprocess
import sys

BEGIN = """
import ctypes, struct
from zapwire.transport.whatsapp_web.engine.engine import library_path
from zapwire.transport.whatsapp_web.engine.library import Library
from zapwire.transport.whatsapp_web.engine.private import announced_version as av
from zapwire.transport.whatsapp_web.engine.private import memory
from zapwire.runtime import hardening
import os
path = library_path()
library = Library(path)
"""


def told(code: str) -> list[str]:
    done = subprocess.run([sys.executable, "-c", BEGIN + code], capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_it_is_found_in_both_places_with_its_hash_and_can_be_replaced_again_and_again() -> None:
    assert told("""
print(library.announced[2])
for revision in (1999999999, 1234567890):
    library.announce(revision)
    fresh = av.AnnouncedVersion(path)
    print(library.announced[2], av.announced_version(path)[2], fresh.revision, fresh.with_hash)
""") == ["1047769893", *["1999999999"] * 3, "True", *["1234567890"] * 3, "True"]


def test_nothing_is_written_when_a_place_is_missing_or_there_are_two() -> None:
    assert told("""
[place] = av._in_library(path)
copies = memory.find(memory.of_go(path), av._HEAD + struct.pack("<I", 1047769893))
ctypes.c_uint32.from_address(copies[0] + 8).value = 5
try:
    library.announce(1999999999)
except av.VersionNotFound as error:
    print("refused", "0" in str(error), ctypes.c_uint32.from_address(place + 8).value, library.announced[2])
ctypes.c_uint32.from_address(copies[0] + 8).value = 1047769893
start = memory.of_go(path)[0].end - 16
kept = ctypes.string_at(start, 12)
ctypes.memmove(start, av._HEAD + struct.pack("<I", 1047769893), 12)
try:
    library.announce(1999999999)
except av.VersionNotFound as error:
    print("refused", "2" in str(error), ctypes.c_uint32.from_address(copies[0] + 8).value)
ctypes.memmove(start, kept, 12)
""") == ["refused", "True", "1047769893", "1047769893", "refused", "True", "1047769893"]


def test_what_is_no_revision_is_not_announced() -> None:
    assert (
        told("""
places = av.AnnouncedVersion(path)
for revision in (0, 999_999_999, 1 << 31):
    try:
        places.announce(revision)
    except ValueError:
        print(places.revision)
""")
        == ["1047769893"] * 3
    )


def test_it_works_for_a_process_that_is_not_roots_and_refuses_core_dumps() -> None:
    assert told("""
if os.geteuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
hardening.refuse_core_dumps()
library.announce(1999999999)
print(av.announced_version(path)[2])
""") == ["1999999999"]
