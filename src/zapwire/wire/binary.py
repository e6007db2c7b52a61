"""WhatsApp's binary XML: a stanza to bytes and back.

Source: the token dictionary (version 3, tokens.json) and the layout that whatsmeow's `binary/` and Baileys' `WABinary/`
share: lists with a length, strings as dictionary tokens, packed digits or raw bytes, JIDs with tokens of their own. One
flag byte stands before a stanza; its bit 2 says that the rest is zlib.
"""

from __future__ import annotations

import json
import zlib
from importlib import resources
from typing import Final

from zapwire.wire.node import MAX_DEVICE, Attr, Node, WireJid

LIST_EMPTY: Final = 0
DICTIONARY_0: Final = 236
INTEROP_JID: Final = 245
FB_JID: Final = 246
AD_JID: Final = 247
LIST_8: Final = 248
LIST_16: Final = 249
JID_PAIR: Final = 250
HEX_8: Final = 251
BINARY_8: Final = 252
BINARY_20: Final = 253
BINARY_32: Final = 254
NIBBLE_8: Final = 255

COMPRESSED: Final = 2
PACKED_MAX: Final = 127
MAX_DEPTH: Final = 64
MAX_INFLATED: Final = 32 * 1024 * 1024
MAX_NODES: Final = 1 << 20

_TOKENS: Final = json.loads(resources.files(__package__).joinpath("tokens.json").read_text("utf-8"))
SINGLE: Final[list[str]] = _TOKENS["single"]
DOUBLE: Final[list[list[str]]] = _TOKENS["double"]
_SINGLE_INDEX: Final = {token: bytes([index]) for index, token in enumerate(SINGLE) if token}
_DOUBLE_INDEX: Final = {
    token: bytes([DICTIONARY_0 + page, index])
    for page, tokens in enumerate(DOUBLE)
    for index, token in enumerate(tokens)
}
_NIBBLES: Final = "0123456789-."
_HEX: Final = "0123456789ABCDEF"

# The server of an AD JID is told by its agent byte: 0 phone number, 1 LID, 128 and 129 their hosted kinds.
_AGENT_OF_SERVER: Final = {"s.whatsapp.net": 0, "lid": 1, "hosted": 128, "hosted.lid": 129}
_SERVER_OF_AGENT: Final = {agent: server for server, agent in _AGENT_OF_SERVER.items()}


class BinaryError(ValueError):
    """The bytes are not a stanza."""


def encode(node: Node) -> bytes:
    """One stanza as bytes, with its flag byte, not compressed."""
    out = bytearray(b"\x00")
    _write_node(out, node)
    return bytes(out)


def decode(data: bytes, *, largest: int = 0, nodes: int = MAX_NODES) -> Node:
    """Read one stanza with its flag byte; raises BinaryError on anything that is not exactly one.

    It may have *largest* bytes once it is inflated (0: `MAX_INFLATED`), and as many *nodes*.
    """
    if not data:
        raise BinaryError("empty stanza")
    body = _inflate(data[1:], largest or MAX_INFLATED) if data[0] & COMPRESSED else data[1:]
    reader = _Reader(body, nodes)
    node = reader.node(0)
    if reader.at != len(body):
        raise BinaryError(f"{len(body) - reader.at} bytes after the stanza")
    return node


def _inflate(data: bytes, largest: int) -> bytes:
    inflater = zlib.decompressobj()
    try:
        body = inflater.decompress(data, largest)
    except zlib.error as error:
        raise BinaryError("not zlib") from error
    if inflater.unconsumed_tail:
        raise BinaryError("stanza too large")
    return body


# ---- writing


def _write_node(out: bytearray, node: Node) -> None:
    attrs = {name: value for name, value in node.attrs.items() if value != ""}
    _write_list_start(out, 1 + 2 * len(attrs) + (node.content is not None))
    _write_string(out, node.tag)
    for name, value in attrs.items():
        _write_string(out, name)
        _write_jid(out, value) if isinstance(value, WireJid) else _write_string(out, value)
    if isinstance(node.content, list):
        _write_list_start(out, len(node.content))
        for child in node.content:
            _write_node(out, child)
    elif isinstance(node.content, str):
        _write_string(out, node.content)
    elif node.content is not None:
        # Never as a token: a client that reads a token as content gets a string where it wants bytes.
        _write_bytes(out, node.content)


def _write_list_start(out: bytearray, size: int) -> None:
    if size == 0:
        out.append(LIST_EMPTY)
    elif size < 256:
        out += bytes((LIST_8, size))
    else:
        out.append(LIST_16)
        out += size.to_bytes(2, "big")


def _write_string(out: bytearray, text: str) -> None:
    token = _SINGLE_INDEX.get(text) or _DOUBLE_INDEX.get(text)
    if token:
        out += token
    elif text and len(text) <= PACKED_MAX and all(c in _NIBBLES for c in text):
        _write_packed(out, NIBBLE_8, _NIBBLES, text)
    elif text and len(text) <= PACKED_MAX and all(c in _HEX for c in text):
        _write_packed(out, HEX_8, _HEX, text)
    else:
        _write_bytes(out, text.encode())


def _write_packed(out: bytearray, kind: int, alphabet: str, text: str) -> None:
    odd = len(text) % 2
    out += bytes((kind, (len(text) + 1) // 2 | odd << 7))
    digits = [alphabet.index(c) for c in text] + [15] * odd
    out += bytes(digits[i] << 4 | digits[i + 1] for i in range(0, len(digits), 2))


def _write_bytes(out: bytearray, data: bytes) -> None:
    size = len(data)
    if size < 1 << 8:
        out += bytes((BINARY_8, size))
    elif size < 1 << 20:
        out.append(BINARY_20)
        out += size.to_bytes(3, "big")
    else:
        out.append(BINARY_32)
        out += size.to_bytes(4, "big")
    out += data


def _write_jid(out: bytearray, jid: WireJid) -> None:
    agent = _AGENT_OF_SERVER.get(jid.server)
    if agent is not None and (jid.device or agent >= 128):
        out += bytes((AD_JID, agent, jid.device))
        _write_string(out, jid.user)
        return
    out.append(JID_PAIR)
    if jid.user:
        _write_string(out, jid.user)
    else:
        out.append(LIST_EMPTY)
    _write_string(out, jid.server)


# ---- reading


class _Reader:
    def __init__(self, data: bytes, nodes: int) -> None:
        self.data = data
        self._nodes = nodes
        self.at = 0

    def raw(self, size: int) -> bytes:
        end = self.at + size
        if end > len(self.data):
            raise BinaryError("stanza ends too early")
        piece = self.data[self.at : end]
        self.at = end
        return piece

    def number(self, size: int) -> int:
        return int.from_bytes(self.raw(size), "big")

    def node(self, depth: int) -> Node:
        if depth > MAX_DEPTH:
            raise BinaryError("stanza nested too deeply")
        self._nodes -= 1
        if self._nodes < 0:
            raise BinaryError("stanza has too many parts")
        size = self.list_size(self.number(1))
        tag = self.attr(self.number(1))
        if size == 0 or not isinstance(tag, str) or not tag:
            raise BinaryError("a node without a tag")
        attrs: dict[str, Attr] = {}
        for _ in range((size - 1) // 2):
            name = self.attr(self.number(1))
            if not isinstance(name, str):
                raise BinaryError("an attribute name is not a string")
            attrs[name] = self.attr(self.number(1)) or ""
        return Node(tag, attrs, None if size % 2 else self.content(depth))

    def content(self, depth: int) -> list[Node] | bytes | None:
        tag = self.number(1)
        if tag == LIST_EMPTY:
            return []
        if tag in (LIST_8, LIST_16):
            return [self.node(depth + 1) for _ in range(self.list_size(tag))]
        if tag in (BINARY_8, BINARY_20, BINARY_32):
            return self.raw(self.binary_size(tag))
        # Some clients compress text content to a token ("true"); the server wants one type of content only.
        value = self.attr(tag)
        return str(value).encode()

    def list_size(self, tag: int) -> int:
        if tag == LIST_EMPTY:
            return 0
        if tag == LIST_8:
            return self.number(1)
        if tag == LIST_16:
            return self.number(2)
        raise BinaryError(f"token {tag} where a list should begin")

    def binary_size(self, tag: int) -> int:
        if tag == BINARY_8:
            return self.number(1)
        return self.number(3) & 0xFFFFF if tag == BINARY_20 else self.number(4)

    def attr(self, tag: int) -> Attr:
        if tag == LIST_EMPTY:
            return ""
        if tag in (BINARY_8, BINARY_20, BINARY_32):
            return self.text(self.binary_size(tag))
        if DICTIONARY_0 <= tag < DICTIONARY_0 + len(DOUBLE):
            return self.double(tag - DICTIONARY_0)
        if tag in (NIBBLE_8, HEX_8):
            return self.packed(tag)
        if tag in (JID_PAIR, AD_JID, FB_JID, INTEROP_JID):
            return self.jid(tag)
        if tag < len(SINGLE):
            return SINGLE[tag]
        raise BinaryError(f"unknown token {tag}")

    def text(self, size: int) -> str:
        try:
            return self.raw(size).decode()
        except UnicodeDecodeError as error:
            raise BinaryError("text is not UTF-8") from error

    def string(self) -> str:
        value = self.attr(self.number(1))
        if isinstance(value, WireJid):
            raise BinaryError("a JID where a string should be")
        return value

    def double(self, page: int) -> str:
        index = self.number(1)
        if index >= len(DOUBLE[page]):
            raise BinaryError(f"unknown token {page}/{index}")
        return DOUBLE[page][index]

    def packed(self, tag: int) -> str:
        alphabet = _NIBBLES if tag == NIBBLE_8 else _HEX
        start = self.number(1)
        digits = [digit for byte in self.raw(start & 127) for digit in (byte >> 4, byte & 15)]
        if start >> 7 and digits:
            digits.pop()
        if any(digit >= len(alphabet) for digit in digits):
            raise BinaryError("a digit that cannot be packed")
        return "".join(alphabet[digit] for digit in digits)

    def jid(self, tag: int) -> WireJid:
        if tag == AD_JID:
            agent, device = self.raw(2)
            return WireJid(self.string(), _SERVER_OF_AGENT.get(agent, "s.whatsapp.net"), device)
        user = self.string()
        device = 0 if tag == JID_PAIR else self.number(2)
        if device > MAX_DEVICE:
            raise BinaryError("a JID's device is a number up to 255")
        if tag == INTEROP_JID:
            self.raw(2)  # which integration; nothing in the sandbox needs it
        return WireJid(user, self.string(), device)
