"""The fence before the engine: what would end the process never gets there, whichever export it is."""

from __future__ import annotations

import ast
import ctypes
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zapwire.model.errors import NotConnected
from zapwire.transport.whatsapp_web.addresses import jid_bytes
from zapwire.transport.whatsapp_web.engine import exports
from zapwire.transport.whatsapp_web.engine.exports import EXPORTS, BadArgument, EmptyResult, Result
from zapwire.transport.whatsapp_web.engine.library import Library
from zapwire.transport.whatsapp_web.engine.protos import neonize

FOLDER = Path(exports.__file__).parent
GOOD: dict[type, Any] = {
    exports.TextArgument: b"text",
    exports.BotIdArgument: b"bot",
    exports.ProtobufArgument: b"",
    exports.JidArgument: jid_bytes("4915510000001", "s.whatsapp.net"),
    exports.FlagArgument: True,
    exports.ChoiceArgument: 0,
    exports.ProxyArgument: b"http://127.0.0.1:1",
}
BAD: dict[type, list[Any]] = {
    exports.TextArgument: [b"", b"a\0b", b"\xff", "text", None],
    exports.BotIdArgument: [b"", b"a\0b", b"\xff", "bot", None],
    exports.ProtobufArgument: [None, "text"],
    exports.JidArgument: [
        b"",
        b"\xff",
        neonize.JID(User="1").SerializePartialToString(),
        neonize.JID(User="1", Server="s.whatsapp.net", RawAgent=0, Device=0).SerializePartialToString(),
        jid_bytes("", "s.whatsapp.net"),
        jid_bytes("1 2", "s.whatsapp.net"),
        jid_bytes("1@2", "s.whatsapp.net"),
        jid_bytes("1\0", "s.whatsapp.net"),
        jid_bytes("1" * 65, "s.whatsapp.net"),
        jid_bytes("1", "example.com"),
        jid_bytes("1", ""),
        GOOD[exports.JidArgument][:-3],
        GOOD[exports.JidArgument] + b"\x0a\xff\xff\xff\xff\xff",
    ],
    exports.FlagArgument: [0, 1, None],
    exports.ChoiceArgument: [-1, 99, True, None],
    exports.ProxyArgument: [b"http://a\0b", b"", "http://127.0.0.1:1"],
}


class Code:
    """In place of the library: notes what is called."""

    def __init__(self, answer: Any = None) -> None:
        self.called: list[str] = []
        self._answer = answer

    def __getattr__(self, name: str) -> Any:
        def export(*_: Any) -> Any:
            self.called.append(name)
            return self._answer

        return export


def library(code: Any) -> Library:
    made = Library.__new__(Library)
    made._code, made._clients = code, {b"bot"}
    return made


def good(export: str) -> list[Any]:
    return [
        argument.type(lambda *_: None) if isinstance(argument, exports.CallbackArgument) else GOOD[type(argument)]
        for argument in EXPORTS[export].arguments
    ]


ARGUMENTS = [(name, place) for name, export in EXPORTS.items() for place in range(len(export.arguments))]


@pytest.mark.parametrize(("name", "place"), ARGUMENTS)
def test_a_bad_argument_never_reaches_the_engine(name: str, place: int):
    kind = EXPORTS[name].arguments[place]
    bad = [None, lambda: None] if isinstance(kind, exports.CallbackArgument) else BAD[type(kind)]
    for value in bad:
        code, arguments = Code(), good(name)
        arguments[place] = value
        with pytest.raises(BadArgument):
            library(code)._call(name, *arguments)
        assert code.called == []


@pytest.mark.parametrize("name", EXPORTS)
def test_an_unknown_client_never_reaches_what_would_dereference_it(name: str):
    code, arguments = Code(), good(name)
    made = library(code)
    made._clients.clear()
    if not EXPORTS[name].needs_client:
        assert name in {"Neonize", "GetVersion", "GetAllDevices", "Stop", "Disconnect"}, (
            "verified to look before they touch"
        )
        return
    assert isinstance(EXPORTS[name].arguments[0], exports.BotIdArgument)
    with pytest.raises(NotConnected):
        made._call(name, *arguments)
    assert code.called == []


def test_a_client_can_be_called_from_its_start_to_its_stop():
    code = Code(True)  # noqa: FBT003 - what the export answers
    made = library(code)
    made.started(b"other")
    assert made.is_connected(b"other")
    made.stop(b"other")
    with pytest.raises(NotConnected):
        made.is_connected(b"other")
    assert code.called == ["IsConnected", "Stop"]


def empty_struct() -> Any:
    return ctypes.pointer(exports.BytesReturn(None, 0))


def test_no_result_is_a_failure_and_what_was_allocated_is_freed():
    for name, export in EXPORTS.items():
        if export.result in {Result.TEXT, Result.BYTES}:
            with pytest.raises(EmptyResult, match=name):
                library(Code(None))._call(name, *good(name))
        if export.result is Result.BYTES:
            code = Code(empty_struct())
            with pytest.raises(EmptyResult, match=name):
                library(code)._call(name, *good(name))
            assert code.called == [name, "FreeBytesStruct"]


@given(st.binary(max_size=60))
def test_only_what_parses_as_a_whole_address_passes_as_one(data: bytes):
    try:
        exports.JidArgument().check(data)
    except BadArgument:
        return
    jid = neonize.JID.FromString(data)
    assert jid.User
    assert jid.Server.encode() in exports.SERVERS


@given(st.from_regex(r"[0-9A-Za-z._-]{1,64}", fullmatch=True).filter(lambda user: user[0] not in "._-"))
def test_real_addresses_pass(user: str):
    for server in exports.SERVERS:
        data = jid_bytes(user, server.decode())
        assert exports.JidArgument().check(data) == (data, len(data))


def test_nothing_goes_round_the_fence():
    """Only `_call` touches an export, and each of the library's methods calls one that is declared."""
    tree = ast.parse((FOLDER / "library.py").read_text())
    touched = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Attribute) and node.value.attr == "_code"
    }
    assert touched == {"Neonize"}, "its address, for the table of clients"
    named = {
        node.args[0].value
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "_call"
        if isinstance(node.args[0], ast.Constant)
    }
    assert named == set(EXPORTS)
    loads = [path.name for path in FOLDER.parent.rglob("*.py") if re.search(r"CDLL\((?!None)", path.read_text())]
    assert loads == ["library.py"]
