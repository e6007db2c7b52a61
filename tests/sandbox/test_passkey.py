"""Accounts that demand a passkey: server and phone against a client made by hand."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.sandbox.passkey_client import Companion
from tests.sandbox.wire_client import Ended, WireClient
from zapwire.sandbox.phones.authenticator import Authenticator
from zapwire.sandbox.phones.errors import PhoneError
from zapwire.sandbox.phones.phone import Phone
from zapwire.sandbox.phones.phone_registry import Phones
from zapwire.sandbox.server import state_json
from zapwire.sandbox.server.network.sandbox_server import SandboxServer
from zapwire.sandbox.server.world import World
from zapwire.wire.node import Node

pytestmark = pytest.mark.usefixtures("short_waits")
NUMBER = "491510000009"


@pytest_asyncio.fixture
async def phone(server: SandboxServer) -> AsyncIterator[Phone]:
    phones = Phones(server.world)
    phone, _ = await phones.ensure(NUMBER, "Paula")
    phone.account.passkey_rule.demanded = True
    phone.have_passkey(Authenticator())
    yield phone
    await phones.aclose()


async def scanned(server: SandboxServer, phone: Phone, client: WireClient) -> Companion:
    codes = await client.qr_codes()
    assert await phone.pairing.scan(codes[0]) is None
    return Companion(client)


@pytest.mark.parametrize("proof", [True, False])
async def test_the_passkey_links_and_the_owner_compares_only_without_a_proof(
    server: SandboxServer, phone: Phone, proof: bool
):
    client = WireClient(server.descriptor)
    phone.account.passkey_rule.bare = not proof
    async with await client.connect(client.registration()):
        companion = await scanned(server, phone, client)
        question = await companion.question(bare=not proof)
        answer = phone.authenticator.answer(question)
        assert (await companion.send(answer, phone.authenticator.credential_id, proof=proof)).text("type") == "result"
        code, primary = await companion.code()
        await companion.request(primary)
        if not proof:
            await phone.pairing.passkey.asked.wait()
            phone.pairing.passkey.accept(same=True)
        assert phone.pairing.passkey.code in {None, code}
        await client.confirm_pairing()
        assert (await client.until("stream:error")).text("code") == "515"
    assert phone.pairing.passkey.code == code
    assert sorted(phone.account.devices) == [0, 1]
    with pytest.raises(PhoneError):
        phone.pairing.passkey.accept(same=True)


@pytest.mark.parametrize(
    "wrong",
    [
        {"origin": "https://evil.example"},
        {"rp_id": "evil.example"},
        {"user_verified": False},
    ],
)
async def test_a_wrong_answer_is_refused_and_a_new_question_can_be_asked_for(
    server: SandboxServer, phone: Phone, wrong: dict[str, Any]
):
    client = WireClient(server.descriptor)
    async with await client.connect(client.registration()):
        companion = await scanned(server, phone, client)
        question = await companion.question()
        number = phone.authenticator.credential_id
        assert (await companion.send(phone.authenticator.answer(question, **wrong), number)).text("type") == "error"
        renewed = await client.ask("get", "md", Node("passkey_request_options"))
        assert json.loads(renewed.child("passkey_request_options").data)["challenge"] != question["challenge"]
        old = await companion.send(phone.authenticator.answer(question), number)
        assert old.text("type") == "error"
        stranger = Authenticator()
        answer = stranger.answer(phone.pairing.passkey.to_json()["question"])
        for sent in (stranger.credential_id, number):
            assert (await companion.send(answer, sent)).text("type") == "error"
        for nonsense in ([], {"id": 7}, None):
            assert (await companion.send(nonsense, number)).text("type") == "error"
        right = phone.authenticator.answer(phone.pairing.passkey.to_json()["question"])
        assert (await companion.send(right, number)).text("type") == "result"
        assert (await companion.send(right, number)).child("error").text("code") == "409"


async def test_codes_that_differ_and_a_nonce_that_was_not_committed_to_end_the_pairing(
    server: SandboxServer, phone: Phone
):
    phone.account.passkey_rule.compare = True
    for nonce in (None, b"x" * 32):
        client = WireClient(server.descriptor)
        async with await client.connect(client.registration()):
            companion = await scanned(server, phone, client)
            answer = phone.authenticator.answer(await companion.question())
            await companion.send(answer, phone.authenticator.credential_id)
            await companion.code(nonce=nonce)
            if nonce is None:
                await phone.pairing.passkey.asked.wait()
                phone.pairing.passkey.accept(same=False)
            await client.until("xmlstreamend")
            with pytest.raises(Ended):
                await client.next()
    assert sorted(phone.account.devices) == [0]
    assert "another nonce" in phone.pairing.passkey.outcome


async def test_a_phone_without_a_passkey_says_so_and_the_client_hears_nothing(server: SandboxServer, phone: Phone):
    phone.have_passkey(None)
    client = WireClient(server.descriptor)
    async with await client.connect(client.registration()):
        codes = await client.qr_codes()
        with pytest.raises(PhoneError, match="create one under Settings"):
            await phone.pairing.scan(codes[0])


async def test_rule_and_passkey_outlive_a_restart(server: SandboxServer, phone: Phone):
    saved, phones = state_json.dump(server.world), Phones(server.world)
    phones._phones[NUMBER] = phone
    again = World()
    state_json.load(again, json.loads(json.dumps(saved)))
    restored = Phones(again)
    await restored.restore(json.loads(json.dumps(phones.to_json())))
    found = restored.get(NUMBER)
    assert found.account.passkey == phone.account.passkey == found.authenticator.public
    assert found.account.passkey_rule == phone.account.passkey_rule
    await restored.aclose()
