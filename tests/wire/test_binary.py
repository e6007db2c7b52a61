"""The binary XML codec: whatever is written is read back, whatever is not a stanza is refused."""

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zapwire.wire import binary
from zapwire.wire.node import BadStanza, Node, WireJid

TOKENS = [token for token in binary.SINGLE if token] + [token for page in binary.DOUBLE for token in page]
DIGITS = st.text("0123456789-.", min_size=1, max_size=140)
HEX = st.text("0123456789ABCDEF", min_size=1, max_size=140)
TEXT = st.one_of(st.sampled_from(TOKENS), DIGITS, HEX, st.text(min_size=1, max_size=300))
USER = st.text("0123456789", min_size=1, max_size=20)
JIDS = st.one_of(
    st.builds(WireJid, USER, st.sampled_from(["s.whatsapp.net", "lid"]), st.integers(0, 255)),
    st.builds(WireJid, USER, st.sampled_from(["g.us", "broadcast", "newsletter", "c.us", "hosted", "hosted.lid"])),
    st.builds(WireJid, st.just(""), st.sampled_from(["s.whatsapp.net", "g.us"])),
)
ATTRS = st.dictionaries(TEXT, st.one_of(TEXT, JIDS), max_size=5)
CONTENT = st.one_of(st.none(), st.binary(max_size=400))
NODES = st.recursive(
    st.builds(Node, TEXT, ATTRS, CONTENT),
    lambda children: st.builds(Node, TEXT, ATTRS, st.lists(children, max_size=4)),
    max_leaves=12,
)


@given(NODES)
def test_a_stanza_is_read_as_it_was_written(node: Node) -> None:
    assert binary.decode(binary.encode(node)) == node


@given(NODES)
def test_a_compressed_stanza_is_read_too(node: Node) -> None:
    plain = binary.encode(node)
    assert binary.decode(bytes([binary.COMPRESSED]) + zlib.compress(plain[1:])) == node


@given(NODES, st.data())
def test_a_stanza_that_ends_too_early_is_refused(node: Node, data: st.DataObject) -> None:
    whole = binary.encode(node)
    cut = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(binary.BinaryError):
        binary.decode(whole[:cut])


@given(st.binary(max_size=200))
def test_any_bytes_give_a_stanza_or_the_one_error(data: bytes) -> None:
    try:
        node = binary.decode(data)
    except binary.BinaryError:
        return
    assert node.tag


def test_bytes_after_the_stanza_are_refused() -> None:
    with pytest.raises(binary.BinaryError, match="1 bytes after"):
        binary.decode(binary.encode(Node("iq")) + b"x")


@pytest.mark.parametrize("size", [255, 256, (1 << 20) - 1, 1 << 20])
def test_content_of_every_length_class(size: int) -> None:
    node = Node("enc", {}, bytes(size))
    assert binary.decode(binary.encode(node)) == node


def test_more_children_than_one_byte_counts() -> None:
    node = Node("list", {}, [Node("item", {"id": str(i)}) for i in range(300)])
    assert binary.decode(binary.encode(node)) == node


def test_known_bytes() -> None:
    # Written by hand from the layout: list of 4, token, two attributes' tokens, an AD JID of the LID kind, content.
    expected = bytes([0, 248, 4, binary.SINGLE.index("iq"), binary.SINGLE.index("from")])
    expected += bytes([247, 1, 3, 255, 2, 0x12, 0x34, 252, 2]) + b"ok"
    assert binary.encode(Node("iq", {"from": WireJid("1234", "lid", 3)}, b"ok")) == expected


def test_jids_are_written_with_the_tokens_that_clients_compare() -> None:
    for jid, token in (
        (WireJid("1", "s.whatsapp.net"), 250),
        (WireJid("1", "lid", 2), 247),
        (WireJid("", "s.whatsapp.net"), 250),
    ):
        assert binary.encode(Node("iq", {"from": jid}))[5] == token


def test_text_content_is_never_a_token() -> None:
    assert binary.encode(Node("ref", {}, b"true"))[-5:] == bytes([252, 4])[1:] + b"true"


def test_empty_attributes_are_left_out() -> None:
    assert binary.decode(binary.encode(Node("ack", {"error": "", "id": "1"}))) == Node("ack", {"id": "1"})


def test_a_client_may_compress_content_to_a_token() -> None:
    assert binary.decode(bytes([0, 248, 2, binary.SINGLE.index("iq"), binary.SINGLE.index("result")])).data == b"result"


def test_nesting_is_bounded() -> None:
    node = Node("a")
    for _ in range(100):
        node = Node("a", {}, [node])
    with pytest.raises(binary.BinaryError, match="deeply"):
        binary.decode(binary.encode(node))


def test_a_zip_bomb_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binary, "MAX_INFLATED", 1000)
    with pytest.raises(binary.BinaryError, match="too large"):
        binary.decode(bytes([binary.COMPRESSED]) + zlib.compress(bytes(100_000)))


def test_a_small_stanza_does_not_become_a_large_one() -> None:
    many = binary.encode(Node("iq", {}, [Node("ref") for _ in range(20_000)]))
    small = b"\x02" + zlib.compress(many[1:])
    assert len(small) < 2000
    assert len(binary.decode(small).children) == 20_000
    with pytest.raises(binary.BinaryError, match="too many parts"):
        binary.decode(small, nodes=10_000)
    with pytest.raises(binary.BinaryError, match="too large"):
        binary.decode(small, largest=10_000)


def test_a_device_that_cannot_be_is_refused_before_it_is_read() -> None:
    with pytest.raises(BadStanza):
        WireJid.parse(f"1:{'9' * 5000}@s.whatsapp.net")
