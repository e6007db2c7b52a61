"""The list of companions that a phone signs, as all see it who ask for an account's devices."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

import zapwire.neonize_protos  # noqa: F401  enters neonize without its client

# isort: split
from neonize.proto.waAdv.WAAdv_pb2 import ADVKeyIndexList, ADVSignedKeyIndexList

from tests.sandbox.wire_client import WireClient
from zapwire.sandbox.phones.phone import Phone
from zapwire.sandbox.running import RunningSandbox, running_sandbox
from zapwire.wire.curve import verify
from zapwire.wire.node import Node

ANA, BOB = "4915100000001", "4915100000002"

pytestmark = pytest.mark.usefixtures("short_waits")


@pytest_asyncio.fixture
async def sandbox(short_waits: None) -> AsyncIterator[RunningSandbox]:
    async with running_sandbox() as running:
        yield running


async def link(sandbox: RunningSandbox, phone: Phone) -> int:
    client = WireClient(sandbox.descriptor)
    async with await client.connect(client.registration()):
        codes = await client.qr_codes()
        number, _ = await asyncio.gather(phone.pairing.scan(codes[0]), client.confirm_pairing())
    return number


async def signed_list(asker: Phone, of: Phone) -> tuple[list[int], int] | None:
    """Valid key indexes and the newest of them, after the signature was verified."""
    query = Node("query", content=[Node("devices", {"version": "2"})])
    users = Node("list", content=[Node("user", {"jid": of.account.lid_jid})])
    attrs = {"sid": "1", "mode": "query", "last": "true", "index": "0", "context": "message"}
    answer = await asker._line.ask("usync", "get", Node("usync", {**attrs}, [query, users]))
    part = answer.child("usync", "list", "user", "devices", "key-index-list")
    if part is None:
        return None
    signed = ADVSignedKeyIndexList.FromString(part.data)
    assert verify(of.keys.identity.public, b"\x06\x02" + signed.details, signed.accountSignature)
    listed = ADVKeyIndexList.FromString(signed.details)
    assert (listed.rawID, str(listed.timestamp)) == (of.pairing.raw_id, part.text("ts"))
    return list(listed.validIndexes), listed.currentIndex


async def test_a_phone_signs_which_companions_it_has(sandbox: RunningSandbox) -> None:
    ana, bob = (await sandbox.phones.ensure(ANA, "Ana"))[0], (await sandbox.phones.ensure(BOB, "Bob"))[0]
    assert await signed_list(bob, ana) is None
    first = await link(sandbox, ana)
    await link(sandbox, ana)
    assert await signed_list(bob, ana) == ([1, 2], 2)
    await ana.unlink(first)
    await ana._queue.join()  # the phone is told, too, and signs what is left
    assert await signed_list(bob, ana) == ([2], 2)


async def test_the_list_outlives_a_restart_and_is_made_for_a_state_without_one(
    short_waits: None, tmp_path: Path
) -> None:
    state = tmp_path / "state.json"
    async with running_sandbox(state=state) as sandbox:
        ana = (await sandbox.phones.ensure(ANA, "Ana"))[0]
        await link(sandbox, ana)
        before = ana.account.key_indexes
    async with running_sandbox(state=state) as sandbox:
        assert sandbox.world.accounts[ANA].key_indexes == before
    saved = json.loads(state.read_text())
    account = saved["world"]["accounts"][0]
    assert base64.b64decode(account.pop("key_indexes")) == before
    state.write_text(json.dumps(saved))
    async with running_sandbox(state=state) as sandbox:
        ana, bob = (await sandbox.phones.ensure(ANA))[0], (await sandbox.phones.ensure(BOB))[0]
        assert await signed_list(bob, ana) == ([1], 1)
