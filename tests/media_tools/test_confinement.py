"""What a child can do that has been taken over by its file: nearly nothing."""

from __future__ import annotations

import ctypes
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

PREPARED = """
import os, socket, sys, threading
from pathlib import Path
from zapwire.media_tools.child import confinement
from zapwire.media_tools.limits import Limits
outer = os.memfd_create("outer")
confinement.limit(Limits(memory=300 << 20, output=1000))
confinement.close()
"""


def confined(program: str) -> subprocess.CompletedProcess[str]:
    """How *program* ends in a process that is confined like a child."""
    text = PREPARED + textwrap.dedent(program)
    return subprocess.run([sys.executable, "-P", "-c", text], capture_output=True, text=True, check=False)


def has_landlock() -> bool:
    return ctypes.CDLL(None).syscall(444, None, ctypes.c_size_t(0), 1) > 0


def test_work_goes_on() -> None:
    done = confined("""
        import xml.dom.minidom  # Python's own files are there
        done = []
        thread = threading.Thread(target=done.append, args=(1,))
        thread.start()
        thread.join()
        os.write(outer, b"x" * 1000)
        again = os.open(f"/proc/self/fd/{outer}", os.O_RDWR | os.O_TRUNC)
        print(len(done), os.fstat(again).st_size)
    """)
    assert done.stdout == "1 0\n", done.stderr


def test_the_libraries_may_be_anywhere() -> None:
    """As with `pip install --user` or PYTHONPATH: some import modules of theirs only when they use them."""
    elsewhere = """
import av, sysconfig
paths = {**sysconfig.get_paths(), "purelib": "/nowhere", "platlib": "/nowhere", "platstdlib": "/nowhere"}
sysconfig.get_paths = lambda: paths
"""
    text = elsewhere + PREPARED + "import PIL.Image, zapwire.model.jid\nprint('here')"
    done = subprocess.run([sys.executable, "-P", "-c", text], capture_output=True, text=True, check=False)
    assert done.stdout == "here\n", done.stderr


@pytest.mark.parametrize(
    "program",
    [
        "socket.socket()",
        "socket.socketpair()",
        "os.execv('/bin/true', ['true'])",
        "os.fork()",
        "os.posix_spawn('/bin/true', ['true'], {})",
        "os.kill(os.getppid(), 0)",
        "os.pidfd_open(os.getppid())",
    ],
)
def test_no_network_no_programs_no_other_process(program: str) -> None:
    done = confined(program)
    assert "PermissionError: [Errno 1] Operation not permitted" in done.stderr


@pytest.mark.skipif(not has_landlock(), reason="this kernel has no Landlock")
@pytest.mark.parametrize(
    "program",
    [
        "Path('/etc/passwd').read_bytes()",
        "Path({path!r}).read_bytes()",
        "Path('/proc/self/environ').read_bytes()",
        "os.listdir({folder!r})",
        "Path({folder!r}, 'new').write_bytes(b'')",
        "Path({path!r}).unlink()",
        "Path(os.__file__).open('ab')",
    ],
)
def test_no_files(program: str, tmp_path: Path) -> None:
    (tmp_path / "auth.db").write_bytes(b"keys")
    done = confined(program.format(path=str(tmp_path / "auth.db"), folder=str(tmp_path)))
    assert "PermissionError: [Errno 13] Permission denied" in done.stderr
    assert (tmp_path / "auth.db").exists()


@pytest.mark.parametrize(
    ("program", "error"),
    [
        ("bytearray(400 << 20)", "MemoryError"),
        ("[os.dup(outer) for _ in range(40)]", "OSError: [Errno 24]"),
        ("os.write(outer, b'x' * 60000); os.write(outer, b'x' * 60000); os.write(outer, b'x')", "OSError: [Errno 27]"),
    ],
)
def test_limits(program: str, error: str) -> None:
    assert error in confined(program).stderr


def test_no_core_dump_and_the_first_to_be_taken_when_memory_runs_out() -> None:
    text = PREPARED.replace("confinement.close()", "") + (
        "import resource\n"
        "print(resource.getrlimit(resource.RLIMIT_CORE), Path('/proc/self/oom_score_adj').read_text().strip())"
    )
    done = subprocess.run([sys.executable, "-P", "-c", text], capture_output=True, text=True, check=True)
    assert done.stdout == "(0, 0) 1000\n"


def test_the_daemon_loads_no_decoder_and_starts_without_them() -> None:
    text = """
        import sys
        from importlib.abc import MetaPathFinder

        class Without(MetaPathFinder):
            def find_spec(self, name, path=None, target=None):
                if name.partition(".")[0] in {"av", "PIL", "pi_heif", "pypdfium2"}:
                    raise ModuleNotFoundError(name=name)

        sys.meta_path.insert(0, Without())
        import zapwire.daemon.app, zapwire.media_tools.tools
        print("here")
    """
    done = subprocess.run(
        [sys.executable, "-P", "-c", textwrap.dedent(text)], capture_output=True, text=True, check=False
    )
    assert done.stdout == "here\n", done.stderr
