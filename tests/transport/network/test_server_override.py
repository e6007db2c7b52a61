from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from zapwire.model.errors import SettingsError
from zapwire.transport.whatsapp_web.network.server_override import read_descriptor

PROGRAM = """
import json, os, sys
from pathlib import Path
from zapwire.transport.whatsapp_web import ensure_environment
override = ensure_environment(Path(sys.argv[1]))
names = ("SSL_CERT_FILE", "HTTPS_PROXY", "NO_PROXY")
print(json.dumps([os.getpid(), sys.argv[2:], *map(os.environ.get, names)]))
"""


@pytest.fixture
def descriptor(tmp_path: Path) -> Path:
    ca = tmp_path / "ca.pem"
    ca.touch()
    path = tmp_path / "descriptor.json"
    content = {
        "socket_url": "wss://127.0.0.1:1/ws/chat",
        "noise_root": "00" * 32,
        "proxy": "http://127.0.0.1:2",
        "ca": str(ca),
    }
    path.write_text(json.dumps(content))
    return path


def test_the_program_is_executed_again_once_with_its_arguments(descriptor: Path):
    command = [sys.executable, "-c", PROGRAM, str(descriptor), "--option", "a b"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env={"NO_PROXY": "*"}) as process:
        output = json.loads(process.communicate(timeout=30)[0])
    ca = str(descriptor.with_name("ca.pem"))
    assert output == [process.pid, ["--option", "a b"], ca, "http://127.0.0.1:2", None]


ENGINE_PROGRAM = """
import json, os, sys
from zapwire.transport.whatsapp_web.network.server_override import ensure_engine_environment, fits_engine
if not fits_engine():
    os.write(2, b"again")
ensure_engine_environment()
print(json.dumps([os.getpid(), sys.argv[1:], os.environ["NEONIZE_BOT_TAG"], os.environ["KEPT"], sys.stdin.read()]))
"""


@pytest.mark.parametrize(("given", "times"), [({}, 1), ({"NEONIZE_BOT_TAG": "on"}, 1), ({"NEONIZE_BOT_TAG": "off"}, 0)])
def test_the_program_has_what_the_engine_needs_from_its_start(given: dict[str, str], times: int):
    command = [sys.executable, "-c", ENGINE_PROGRAM, "--option", "a b"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, **pipes, env={"KEPT": "yes", **given}) as process:
        output, errors = process.communicate(b"typed", timeout=30)
    assert json.loads(output) == [process.pid, ["--option", "a b"], "off", "yes", "typed"]
    assert errors == b"again" * times


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "not a server descriptor"),
        ("{}", "'socket_url'"),
        ('{"socket_url": "", "noise_root": "zz", "proxy": "", "ca": ""}', "not a server descriptor"),
        ('{"socket_url": "", "noise_root": "00", "proxy": "", "ca": "/nowhere"}', "/nowhere"),
    ],
)
def test_a_bad_descriptor_is_explained(tmp_path: Path, content: str, words: str):
    path = tmp_path / "bad.json"
    path.write_text(content)
    with pytest.raises(SettingsError) as error:
        read_descriptor(path)
    assert words in error.value.detail
    assert error.value.field == "whatsapp_server"


def test_a_missing_descriptor_is_explained(tmp_path: Path):
    with pytest.raises(SettingsError, match="cannot read"):
        read_descriptor(tmp_path / "none.json")


ROOT_PROGRAM = """
from zapwire.transport.whatsapp_web.engine.engine import library_path
from zapwire.transport.whatsapp_web.engine.library import Library
from zapwire.transport.whatsapp_web.engine.private.noise_root import NoiseRootError, replace_noise_root
Library(library_path(), bytes(range(32)))
replace_noise_root(library_path(), bytes(range(32)))
for root in (bytes(31), bytes(range(1, 33))):
    try:
        replace_noise_root(library_path(), root)
    except NoiseRootError as error:
        print(error)
"""


def test_the_noise_root_is_replaced_once_and_never_by_guess():
    command = [sys.executable, "-c", ROOT_PROGRAM]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    lines = result.stdout.splitlines()
    assert lines[0] == "a Noise root has 32 bytes, not 31"
    assert lines[1].startswith("found 0 copies")
