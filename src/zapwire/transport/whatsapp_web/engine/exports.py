"""The engine's exports that are used: what each takes and returns, and the fence in front of each.

A Go panic ends the process, and nothing catches it: an address that does not parse, an index out of range, a client
that is not there. So each argument has a kind, and each kind refuses what its export must never see (docs/engine.md's
E25). A result of size 0 is a failure too: the engine gives one when what it had to say cannot be encoded, and it reads
like a protobuf without any field. Sources: neonize 0.5.2, goneonize/main.go, header/cstruct.h and Neonize.proto.
Standard library only.
"""

from __future__ import annotations

import ctypes
import re
from ctypes import CFUNCTYPE, POINTER, c_bool, c_char_p, c_int, c_size_t, c_void_p
from dataclasses import dataclass
from enum import Enum
from typing import Any, ClassVar, Final, Protocol

from zapwire.model.errors import TransportError

TEXT_CALLBACK = CFUNCTYPE(None, c_void_p, c_char_p)
"""(bot, text): a QR code, or how a login ended."""
EVENT_CALLBACK = CFUNCTYPE(None, c_void_p, c_void_p, c_size_t, c_int)
"""(bot, protobuf, its size, event code); called on the thread that is parked in `Neonize`."""
LOG_CALLBACK = CFUNCTYPE(None, c_void_p, c_size_t)
"""(protobuf LogEntry, its size); called on any thread of the engine."""

LONGEST: Final = 2**31 - 1
"""Bytes in a buffer: its size is an int."""


class BadArgument(ValueError):
    """An argument that the engine must never see; nothing was called."""


class EmptyResult(TransportError):
    """The engine did what it was told, perhaps, and could not say how it went."""

    def __init__(self, export: str) -> None:
        super().__init__(f"the engine gave no result ({export})")


class BytesReturn(ctypes.Structure):
    """`struct BytesReturn` of cstruct.h."""

    _fields_ = (("data", c_void_p), ("size", c_size_t))


class ProxySettings(ctypes.Structure):
    """`struct ProxySettings` of cstruct.h: a URL, and three exceptions of which none is made."""

    _fields_ = (("url", c_char_p), ("no_websocket", c_bool), ("only_login", c_bool), ("no_media", c_bool))


# ---- what goes in


class Argument(Protocol):
    """A kind of argument."""

    types: ClassVar[tuple[Any, ...]]
    """As C sees it."""

    def check(self, value: Any) -> tuple[Any, ...]:
        """The values for `types`. Raises `BadArgument`."""


@dataclass(frozen=True, slots=True)
class TextArgument:
    """Text without NUL, which would end it, as UTF-8."""

    types: ClassVar = (c_char_p,)
    empty: bool = False
    """May be empty."""

    def check(self, value: Any) -> tuple[Any, ...]:
        """See `Argument.check`."""
        if not isinstance(value, bytes) or b"\0" in value or not (value or self.empty):
            raise BadArgument("not a text without NUL")
        try:
            value.decode()
        except UnicodeDecodeError:
            raise BadArgument("not a text in UTF-8") from None
        return (value,)


class BotIdArgument(TextArgument):
    """The id that a client was started with; see `Export.needs_client`."""


@dataclass(frozen=True, slots=True)
class ProtobufArgument:
    """A serialized message. That it can be read is up to who made it; the engine answers an error if it cannot."""

    types: ClassVar = (c_char_p, c_int)

    def check(self, value: Any) -> tuple[Any, ...]:
        """See `Argument.check`."""
        if not isinstance(value, bytes) or len(value) > LONGEST:
            raise BadArgument("not a buffer of less than 2 GiB")
        return value, len(value)


@dataclass(frozen=True, slots=True)
class JidArgument:
    """A serialized `JID` with all five required fields, of a server that WhatsApp has."""

    types: ClassVar = (c_char_p, c_int)

    def check(self, value: Any) -> tuple[Any, ...]:
        """See `Argument.check`."""
        if not isinstance(value, bytes) or len(value) > LONGEST:
            raise BadArgument("not a buffer of less than 2 GiB")
        fields = _read_jid(value)
        if set(fields) | {_IS_EMPTY} != {*_TEXTS, *_NUMBERS, _IS_EMPTY}:
            raise BadArgument("an address with fields that are missing, or too many")
        if _USER.fullmatch(fields[_USER_FIELD]) is None or fields[_SERVER_FIELD] not in SERVERS:
            raise BadArgument("no address of WhatsApp")
        return value, len(value)


@dataclass(frozen=True, slots=True)
class FlagArgument:
    """Yes or no."""

    types: ClassVar = (c_bool,)

    def check(self, value: Any) -> tuple[Any, ...]:
        """See `Argument.check`."""
        if not isinstance(value, bool):
            raise BadArgument("not a bool")
        return (value,)


@dataclass(frozen=True, slots=True)
class ChoiceArgument:
    """One of *count* constants of the engine, from 0 on; another one would be an index out of range."""

    types: ClassVar = (c_int,)
    count: int

    def check(self, value: Any) -> tuple[Any, ...]:
        """See `Argument.check`."""
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < self.count:
            raise BadArgument(f"not a number from 0 to {self.count - 1}")
        return (value,)


@dataclass(frozen=True, slots=True)
class CallbackArgument:
    """A function that the engine calls; it must outlive the engine's use of it."""

    types: ClassVar = (c_void_p,)
    type: Any

    def check(self, value: Any) -> tuple[Any, ...]:
        """See `Argument.check`."""
        if not isinstance(value, self.type):
            raise BadArgument("not a callback of that type")
        return (ctypes.cast(value, c_void_p),)


@dataclass(frozen=True, slots=True)
class ProxyArgument:
    """A URL, or None for the way of all."""

    types: ClassVar = (c_void_p,)

    def check(self, value: Any) -> tuple[Any, ...]:
        """See `Argument.check`."""
        if value is None:
            return (None,)
        return (ctypes.byref(ProxySettings(*TextArgument().check(value))),)


SERVERS: Final = frozenset(
    (b"s.whatsapp.net", b"lid", b"g.us", b"broadcast", b"newsletter", b"bot", b"hosted", b"hosted.lid")
)
_USER: Final = re.compile(rb"[0-9A-Za-z][0-9A-Za-z._-]{0,63}")
_USER_FIELD: Final = 1
_SERVER_FIELD: Final = 5
_TEXTS: Final = (_USER_FIELD, _SERVER_FIELD)
_NUMBERS: Final = (2, 3, 4)
_IS_EMPTY: Final = 6


def _read_jid(data: bytes) -> dict[int, bytes]:
    """The fields of a serialized `JID` by number; numbers are not told. Raises `BadArgument`."""
    fields: dict[int, bytes] = {}
    place = 0
    while place < len(data):
        tag, place = data[place], place + 1
        number, kind = tag >> 3, tag & 7
        value, place = _varint(data, place)
        if number in _TEXTS and kind == 2 and place + value <= len(data):
            fields[number] = data[place : place + value]
            place += value
        elif (number in _NUMBERS or number == _IS_EMPTY) and kind == 0:
            fields[number] = b""
        else:
            raise BadArgument("no address")
    return fields


def _varint(data: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while place < len(data) and shift < 35:
        value |= (data[place] & 0x7F) << shift
        if data[place] < 0x80:
            return value, place + 1
        place, shift = place + 1, shift + 7
    raise BadArgument("no address")


# ---- what comes out


class Result(Enum):
    """What an export returns."""

    NOTHING = "nothing"
    BOOL = "bool"
    TEXT = "text"
    """`char *`: for most exports the error, and empty when there was none."""
    BYTES = "bytes"
    """`struct BytesReturn *`: a serialized protobuf."""


_TYPES: Final[dict[Result, Any]] = {
    Result.NOTHING: None,
    Result.BOOL: c_bool,
    Result.TEXT: c_void_p,
    Result.BYTES: POINTER(BytesReturn),
}


def read_result(code: Any, export: str, value: Any) -> Any:
    """What *export* returned, as Python has it; what the engine allocated is given back.

    Raises `EmptyResult` when there is no text (not even an empty one), or no byte of a protobuf.
    """
    match EXPORTS[export].result:
        case Result.TEXT:
            return _read_text(code, export, value)
        case Result.BYTES:
            return _read_bytes(code, export, value)
        case _:
            return value


def _read_text(code: Any, export: str, pointer: int | None) -> str:
    if not pointer:
        raise EmptyResult(export)
    try:
        return ctypes.string_at(pointer).decode(errors="replace")
    finally:
        code.FreeString(pointer)


def _read_bytes(code: Any, export: str, pointer: Any) -> bytes:
    if not pointer:
        raise EmptyResult(export)
    try:
        result = pointer.contents
        if not result.data or not result.size:
            raise EmptyResult(export)
        return ctypes.string_at(result.data, result.size)
    finally:
        code.FreeBytesStruct(pointer)


@dataclass(frozen=True, slots=True)
class Export:
    """One function of the library."""

    arguments: tuple[Argument, ...]
    result: Result
    needs_client: bool = True
    """It would end the process, or say nothing useful, for a bot without a client in the engine's table."""


EXPORTS: Final[dict[str, Export]] = {
    "Neonize": Export(
        (
            TextArgument(), BotIdArgument(), ProtobufArgument(), ChoiceArgument(2), TextArgument(),
            CallbackArgument(TEXT_CALLBACK), CallbackArgument(TEXT_CALLBACK),
            CallbackArgument(EVENT_CALLBACK), CallbackArgument(LOG_CALLBACK),
            ProtobufArgument(), ProtobufArgument(), ProtobufArgument(), ProxyArgument(),
        ),
        Result.TEXT,
        needs_client=False,
    ),
    "GetVersion": Export((), Result.TEXT, needs_client=False),
    "GetAllDevices": Export((TextArgument(), CallbackArgument(LOG_CALLBACK)), Result.TEXT, needs_client=False),
    "Logout": Export((BotIdArgument(),), Result.TEXT),
    "Stop": Export((BotIdArgument(),), Result.NOTHING, needs_client=False),
    "Disconnect": Export((BotIdArgument(),), Result.NOTHING, needs_client=False),
    "IsConnected": Export((BotIdArgument(),), Result.BOOL),
    "GetMe": Export((BotIdArgument(),), Result.BYTES),
    "SetPassive": Export((BotIdArgument(), FlagArgument()), Result.TEXT),
    "SendMessage": Export((BotIdArgument(), JidArgument(), ProtobufArgument()), Result.BYTES),
    "Upload": Export((BotIdArgument(), ProtobufArgument(), ChoiceArgument(8)), Result.BYTES),
    "DownloadMediaWithPath": Export(
        (
            BotIdArgument(), TextArgument(), ProtobufArgument(), ProtobufArgument(), ProtobufArgument(),
            ChoiceArgument(2), ChoiceArgument(8), TextArgument(),
        ),
        Result.BYTES,
    ),
    "BuildPollVote": Export((BotIdArgument(), ProtobufArgument(), ProtobufArgument()), Result.BYTES),
    "DecryptPollVote": Export((BotIdArgument(), ProtobufArgument()), Result.BYTES),
    "IsOnWhatsApp": Export((BotIdArgument(), TextArgument()), Result.BYTES),
    "GetPNFromLID": Export((BotIdArgument(), JidArgument()), Result.BYTES),
    "GetLIDFromPN": Export((BotIdArgument(), JidArgument()), Result.BYTES),
    "PairPhone": Export((BotIdArgument(), ProtobufArgument()), Result.BYTES),
}  # fmt: skip


def declare(code: Any) -> None:
    """Tell ctypes the types of all exports of the loaded library."""
    for name, export in EXPORTS.items():
        function = getattr(code, name)
        function.argtypes = [kind for argument in export.arguments for kind in argument.types]
        function.restype = _TYPES[export.result]
    code.FreeString.argtypes, code.FreeString.restype = [c_void_p], None
    code.FreeBytesStruct.argtypes, code.FreeBytesStruct.restype = [POINTER(BytesReturn)], None
