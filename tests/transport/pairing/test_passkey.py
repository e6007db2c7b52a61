"""Accounts that demand a passkey, through the transport with the real engine behind it, against the sandbox."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.harness.sandbox import Phone, Sandbox
from tests.transport.driven import Bot, Driven, Ended, Failed
from tests.transport.pairing.conftest import NUMBER, scanned, talks

KEPT = pytest.mark.parametrize("own", ["sealed", "plain"], indirect=True)


async def asked(bot: Bot, phone: Phone, **rule: Any) -> dict[str, Any]:
    """The question, after a scan."""
    await phone.call("PUT", "/passkey", {"demanded": True, **rule})
    await scanned(bot, phone)
    return await question(bot)


async def question(bot: Bot) -> dict[str, Any]:
    step = await bot.until("PairingProgress")
    assert (step["step"], step["reason"]) == ("passkey", "WhatsApp wants the passkey of this account")
    shown = await bot("passkey")
    assert shown["origin"] == "https://web.whatsapp.com"
    return dict(shown["question"])


async def used(phone: Phone, **how: Any) -> dict[str, Any]:
    """The passkey, used as a browser does."""
    return dict((await phone.call("POST", "/passkey/answer", how))["answer"])


async def on_phone(phone: Phone) -> dict[str, Any]:
    return dict((await phone.call("GET", "/passkey"))["pairing"])


@KEPT
@pytest.mark.parametrize("rule", [{}, {"compare": True}, {"bare": True}], ids=["usual", "phone insists", "bare"])
async def test_a_passkey_after_a_scan_links(own: Driven, sandbox: Sandbox, phone: Phone, rule: dict[str, bool]):
    bot = own.bot("bot")
    wanted = await asked(bot, phone, **rule)
    assert wanted["userVerification"] == "required"
    await bot("answer_passkey", answer=await used(phone))
    while (step := await bot.until("PairingProgress"))["step"] != "phone" or "code" not in await shown(bot):
        pass
    code = await shown(bot)
    assert not code["needed"]
    assert step["action"].startswith("Accept on the phone")
    if rule.get("compare"):
        assert (await on_phone(phone))["code"] == code["code"]
        await phone.call("POST", "/passkey/compare", {"same": True})
    await talks(bot, sandbox)
    assert (await on_phone(phone))["outcome"] == "paired"


async def shown(bot: Bot) -> dict[str, Any]:
    try:
        return dict(await bot("passkey"))
    except Failed:
        return {}


@KEPT
async def test_a_passkey_after_a_typed_code_links_whatever_comes_in_between(
    own: Driven, sandbox: Sandbox, phone: Phone
):
    bot = own.bot("bot")
    await phone.call("PUT", "/passkey", {"demanded": True, "keyless": True})
    await bot("start")
    await bot.until("QrCode")
    await phone.enter_code(await bot("code", phone=f"+{NUMBER}"))
    await question(bot)
    await bot("answer_passkey", answer=await used(phone))
    await talks(bot, sandbox)


async def test_an_old_proof_is_left_out_and_a_person_compares(tmp_path: Path, sandbox: Sandbox, phone: Phone):
    env = {"DRIVER_PAIRING": "own"}
    async with Driven(tmp_path, sandbox.descriptor_file, "pairing.own.passkey.PROOF_LASTS=0", env=env) as late:
        bot = late.bot("bot")
        await asked(bot, phone)
        await bot("answer_passkey", answer=await used(phone))
        while (await bot.until("PairingProgress"))["step"] != "compare":
            pass
        code = await bot("passkey")
        assert code["needed"]
        assert (await on_phone(phone))["code"] == code["code"]
        await phone.call("POST", "/passkey/compare", {"same": True})
        await bot("confirm_passkey", code=code["code"].lower().replace("-", " "))
        await talks(bot, sandbox)


@pytest.mark.parametrize("who", ["we", "phone"])
async def test_codes_that_differ_end_everything_and_nothing_is_linked(
    tmp_path: Path, sandbox: Sandbox, phone: Phone, who: str
):
    env = {"DRIVER_PAIRING": "own"}
    async with Driven(tmp_path, sandbox.descriptor_file, "pairing.own.passkey.PROOF_LASTS=0", env=env) as late:
        bot = late.bot("bot")
        await asked(bot, phone)
        await bot("answer_passkey", answer=await used(phone))
        while (await bot.until("PairingProgress"))["step"] != "compare":
            pass
        if who == "we":
            with pytest.raises(Failed, match="somebody else is in between"):
                await bot("confirm_passkey", code="AAAA-AAAA")
            end = await bot.ending()
            assert (end.kind, end.condition) == ("Blocked", "codes-differ")
            assert "nothing was linked" in end.detail
        else:
            await phone.call("POST", "/passkey/compare", {"same": False})
            assert (await bot.ending()).kind == "TransportError"
        assert not await bot("keeps")
        assert list(late.sessions.glob("bot.db*")) == []
        with pytest.raises(Failed, match="no pairing is under way"):
            await bot("passkey")


@pytest.mark.parametrize(
    ("how", "kind", "words"),
    [
        ({"origin": "https://web.whatsapp.com.evil.example"}, "InvalidInput", "instead of web.whatsapp.com"),
        ({"rp_id": "evil.example"}, "InvalidInput", "another site"),
        ({"user_verified": False}, "InvalidInput", "without PIN, face or finger"),
    ],
)
async def test_an_answer_that_cannot_be_right_is_refused_here_and_the_right_one_still_works(
    own: Driven, phone: Phone, how: dict[str, Any], kind: str, words: str
):
    bot = own.bot("bot")
    await asked(bot, phone)
    with pytest.raises(Failed, match=words) as refused:
        await bot("answer_passkey", answer=await used(phone, **how))
    assert refused.value.kind == kind
    await bot("answer_passkey", answer=await used(phone))
    await bot.until("Connected")


async def test_an_older_question_and_another_accounts_passkey_are_refused(own: Driven, sandbox: Sandbox, phone: Phone):
    bot = own.bot("bot")
    wanted = await asked(bot, phone)
    stranger = await sandbox.phone("4915510000009")
    await stranger.call("PUT", "/passkey", {"demanded": True})
    with pytest.raises(Failed, match="Here is a new question") as refused:
        await bot("answer_passkey", answer=await used(stranger, question=wanted))
    assert refused.value.kind == "PasskeyRefused"
    assert (await question(bot))["challenge"] != wanted["challenge"]
    with pytest.raises(Failed, match="older question") as refused:
        await bot("answer_passkey", answer=await used(phone, question=wanted))
    assert refused.value.kind == "Conflict"
    await bot("answer_passkey", answer=await used(phone))
    with pytest.raises(Failed) as refused:
        await bot("answer_passkey", answer=await used(phone, question=wanted))
    assert refused.value.kind == "Conflict"
    await bot.until("Connected")


async def test_a_phone_that_stays_silent_is_told_of_and_the_pairing_ends_with_the_question(
    tmp_path: Path, sandbox: Sandbox, phone: Phone
):
    # WhatsApp's codes are used up after 2 s: that ends nothing any more.
    codes = ("pairing.own.client.FIRST_QR_LASTS=2", "pairing.own.client.NEXT_QR_LASTS=0")
    deadlines = (*codes, "pairing.own.passkey.SILENCE=2.1", "pairing.own.passkey.CHALLENGE_LASTS=4")
    env = {"DRIVER_PAIRING": "own"}
    async with Driven(tmp_path, sandbox.descriptor_file, *deadlines, env=env) as hasty:
        bot = hasty.bot("bot")
        await asked(bot, phone, silent=True)
        await bot("answer_passkey", answer=await used(phone))
        while "does not answer" not in (await bot.until("PairingProgress"))["reason"]:
            pass
        with pytest.raises(Failed, match="Open WhatsApp there"):
            await bot("passkey")
        with pytest.raises(Ended) as end:
            await bot.until("Connected")
        assert end.value.kind == "PairingTimedOut"


async def test_auto_goes_over_to_our_client_and_asks_to_scan_once_more(tmp_path: Path, sandbox: Sandbox, phone: Phone):
    async with Driven(tmp_path, sandbox.descriptor_file) as auto:
        bot = auto.bot("bot")
        await phone.call("PUT", "/passkey", {"demanded": True})
        await scanned(bot, phone)
        again = await bot.until("PairingProgress")
        assert again["step"] == "scan"
        assert again["action"].startswith("Scan once more")
        await phone.scan((await bot.until("QrCode"))["code"])
        await question(bot)
        # the next pairing knows it
        await bot("stop")
        await scanned(bot, phone)
        await question(bot)
        await bot("answer_passkey", answer=await used(phone))
        await talks(bot, sandbox)


async def test_the_engine_alone_says_that_it_cannot(tmp_path: Path, sandbox: Sandbox, phone: Phone):
    async with Driven(tmp_path, sandbox.descriptor_file, env={"DRIVER_PAIRING": "engine"}) as engine:
        bot = engine.bot("bot")
        await phone.call("PUT", "/passkey", {"demanded": True})
        await scanned(bot, phone)
        end = await bot.ending()
        assert (end.kind, end.condition) == ("Blocked", "passkey")


async def test_an_answer_under_way_when_the_pairing_ends_is_told_so(own: Driven, sandbox: Sandbox, phone: Phone):
    bot = own.bot("bot")
    await asked(bot, phone)
    answer = await used(phone)
    await sandbox.call("POST", "/faults", {"kind": "freeze"})
    answering = asyncio.create_task(bot("answer_passkey", answer=answer))
    with pytest.raises(Failed, match="the phone has taken a code"):  # asked after the answer, answered before it
        await bot("code", phone=f"+{NUMBER}")
    await bot("stop")
    with pytest.raises(Failed, match="the pairing is over") as over:
        await answering
    assert over.value.kind == "Conflict"
