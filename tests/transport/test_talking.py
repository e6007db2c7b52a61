"""A real engine and the sandbox: pairing, talking, coming back."""

from __future__ import annotations

import asyncio
import base64
import stat
from pathlib import Path

import pytest

from tests.harness.builds import is_known
from tests.harness.sandbox import Sandbox
from tests.transport.conftest import BOTH_WAYS, paired
from tests.transport.driven import Bot, Driven, Failed
from zapwire.transport.whatsapp_web.engine.protos import e2e
from zapwire.transport.whatsapp_web.factory import FLAGS

ANNA = "4915510000002"
BOT = "4915510000001"


@BOTH_WAYS
async def test_a_qr_code_pairs_and_the_daemon_itself_logs_in_first(driver: Driven, sandbox: Sandbox):
    phone = await sandbox.phone(BOT)
    bot = driver.bot("bot-one")
    await bot("start")
    qr = await bot.until("QrCode")
    assert qr["attempt"] == 1
    await phone.scan(qr["code"])
    pairing = await bot.until("Paired")
    connection = await bot.until("Connected")
    assert pairing["identity"]["phone"] == connection["identity"]["phone"] == f"+{BOT}"
    assert pairing["identity"]["lid"].endswith("@lid")
    # the pairing child ended before its own login
    assert (await sandbox.call("GET", "/statistics"))["logins"] == 1
    file = driver.sessions / "bot-one.db"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(driver.sessions.stat().st_mode) == 0o700


@BOTH_WAYS
async def test_a_pairing_code_pairs(driver: Driven, sandbox: Sandbox):
    phone = await sandbox.phone(BOT)
    bot = driver.bot("bot-one")
    with pytest.raises(Failed, match="Conflict: no pairing is under way"):
        await bot("code", phone=f"+{BOT}")
    await bot("start")
    await bot.until("QrCode")
    code = await bot("code", phone=f"+{BOT}")
    assert len(code) == 9
    await phone.enter_code(code)
    await bot.until("Connected")


async def test_a_known_build_has_its_flags_and_another_one_is_left_alone(bot: Bot):
    assert await bot("flags") == (sorted(FLAGS) if is_known() else None)


async def test_a_name_that_the_engine_does_not_know_is_no_failure(bot: Bot, sandbox: Sandbox):
    assert await bot("other_name", user="4915519999999") == ""
    await sandbox.phone(ANNA)
    await bot("send", to=f"{ANNA}@s.whatsapp.net", text="hello")
    assert (await bot("other_name", user=ANNA)).isdigit()


async def test_texts_go_both_ways_with_both_names_and_receipts(bot: Bot, sandbox: Sandbox):
    anna = await sandbox.phone(ANNA, "Anna")
    sent = await bot("send", to=f"{ANNA}@s.whatsapp.net", text="hello")
    delivered = await bot.until("Receipt")
    assert delivered["whatsapp_ids"] == [sent["whatsapp_id"]]
    assert delivered["kind"] == "delivered"
    await anna.read(ids=[sent["whatsapp_id"]])
    assert (await bot.until("Receipt"))["kind"] == "read"

    whatsapp_id = await anna.send(BOT, "hi bot")
    message = (await bot.until("Received"))["message"]
    assert message["id"] == whatsapp_id
    assert message["content"] == {"text": "hi bot"}
    assert message["push_name"] == "Anna"
    assert not message["from_me"]
    for party in (message["chat"], message["sender"]):
        assert party["jid"].endswith("@lid")
        assert party["lid"] == party["jid"]
        assert party["phone"] == f"+{ANNA}"


async def test_the_owners_own_messages_come_in_too(bot: Bot, sandbox: Sandbox):
    await sandbox.phone(ANNA)
    own = await sandbox.phone(BOT)
    await own.send(ANNA, "typed on the phone")
    message = (await bot.until("Received"))["message"]
    assert message["from_me"]
    assert message["sender"]["phone"] == f"+{BOT}"
    assert message["chat"]["phone"] == f"+{ANNA}"


async def test_a_group_is_the_chat_and_its_member_the_sender(bot: Bot, sandbox: Sandbox):
    anna = await sandbox.phone(ANNA, "Anna")
    group = (await anna.call("POST", "/groups", {"subject": "Friends", "members": [BOT]}))["group"]
    await anna.send(group, "hi all")
    message = (await bot.until("Received"))["message"]
    assert message["content"] == {"text": "hi all"}
    assert message["chat"] == {"jid": group, "phone": None, "lid": None, "id": None}
    assert message["sender"]["phone"] == f"+{ANNA}"
    assert message["sender"]["lid"].endswith("@lid")
    await (await sandbox.phone(BOT)).send(group, "typed on the phone")
    message = (await bot.until("Received"))["message"]
    assert message["content"] == {"text": "typed on the phone"}
    assert message["from_me"]
    assert (message["chat"]["jid"], message["sender"]["phone"]) == (group, f"+{BOT}")


async def test_what_the_phone_tells_its_own_devices_is_no_message_but_edits_and_deletions_are(
    bot: Bot, sandbox: Sandbox
):
    anna, own = await sandbox.phone(ANNA), await sandbox.phone(BOT)
    for kind in ("APP_STATE_SYNC_KEY_REQUEST", "PEER_DATA_OPERATION_REQUEST_MESSAGE", "EPHEMERAL_SETTING"):
        part = e2e.Message(protocolMessage={"type": kind})
        await own.call("POST", "/send", {"to": BOT, "protobuf": base64.b64encode(part.SerializeToString()).decode()})
    first = await anna.send(BOT, "helo")
    await anna.call("POST", "/send", {"to": BOT, "edit": {"id": first, "text": "hello"}})
    await anna.call("POST", "/send", {"to": BOT, "reaction": {"id": first, "emoji": "!"}})
    await anna.call("POST", "/send", {"to": BOT, "delete": first})
    seen = [(await bot.until("Received"))["message"] for _ in range(4)]
    assert [message["type"] for message in seen] == ["text", "edit", "reaction", "delete"]
    assert [message["content"].get("message_id") for message in seen] == [None, first, first, first]


async def test_a_number_that_is_not_on_whatsapp_is_refused(bot: Bot):
    with pytest.raises(Failed, match="NoAccount: that number is not on WhatsApp"):
        await bot("send", to="4915519999999@s.whatsapp.net", text="anyone?")


@pytest.mark.parametrize(
    ("account", "typed"),
    [
        ("558491234567", "5584991234567"),  # Brazil, an account from before the ninth digit
        ("5511998765432", "551198765432"),
        ("5215512345678", "525512345678"),  # Mexico, an account from when mobile numbers had a 1
        ("5491112345678", "541112345678"),  # Argentina
    ],
)
async def test_a_number_goes_to_the_account_that_whatsapp_names_for_it(
    bot: Bot, sandbox: Sandbox, account: str, typed: str
):
    phone = await sandbox.phone(account, "Bia")
    sent = await bot("send", to=f"{typed}@s.whatsapp.net", text="oi")
    assert sent["to"]["phone"] == f"+{account}"
    assert sent["to"]["jid"] == sent["to"]["lid"]
    page = await phone.call("GET", "/inbox", wait="10")
    assert [message["text"] for message in page["messages"]] == ["oi"]
    exact = await bot("send", to=f"{account}@s.whatsapp.net", text="again")
    assert exact["to"] is None


async def test_what_arrives_while_stopped_is_there_after_a_new_start_without_a_qr(bot: Bot, sandbox: Sandbox):
    anna = await sandbox.phone(ANNA)
    for _ in range(2):  # the second start finds the file open in the engine already
        await bot("stop")
        with pytest.raises(Failed, match="NotConnected"):
            await bot("send", to=f"{ANNA}@s.whatsapp.net", text="too early")
        texts = [f"offline {number}" for number in range(5)]
        for text in texts:
            await anna.send(BOT, text)
        await bot("start")
        first = await bot.next()
        assert first["event"] == "Connected"
        assert [(await bot.until("Received"))["message"]["content"]["text"] for _ in texts] == texts


async def test_a_kill_loses_no_session(bot: Bot, driver: Driven, sandbox: Sandbox):
    driver.process.kill()
    await driver.process.wait()
    async with Driven(driver.sessions.parent, sandbox.descriptor_file) as again:
        back = again.bot("bot-one")
        await back("start")
        assert (await back.next())["event"] == "Connected"


async def test_ten_bots_pair_talk_and_restart_together(driver: Driven, sandbox: Sandbox):
    numbers = [f"49155200000{index:02}" for index in range(10)]
    names = [f"bot-{index}" for index in range(10)]
    bots = await asyncio.gather(*(paired(driver, sandbox, *pair) for pair in zip(names, numbers, strict=True)))
    for again in (False, True):
        if again:
            await asyncio.gather(*(bot("stop") for bot in bots))
            await asyncio.gather(*(bot("start") for bot in bots))
            await asyncio.gather(*(bot.until("Connected") for bot in bots))
        for bot, to in zip(bots, [*numbers[1:], numbers[0]], strict=True):
            await bot("send", to=f"{to}@s.whatsapp.net", text=f"from {bot.name}")
        received = [(await bot.until("Received"))["message"] for bot in bots]
        # the bots' own numbers get copies of nothing: each only has what its neighbour sent
        assert [message["content"]["text"] for message in received] == [
            f"from {name}" for name in [names[-1], *names[:-1]]
        ]


async def test_logging_out_unlinks_the_device_and_destroys_the_auth_state(bot: Bot, driver: Driven, sandbox: Sandbox):
    await bot("logout")
    assert (await bot.ending()).kind == "LoggedOut"
    assert not list(driver.sessions.iterdir())
    devices = await sandbox.call("GET", f"/phones/{BOT}")
    assert [device for device in devices["devices"] if device != 0] == []


async def test_a_message_to_a_phone_number_carries_no_sign_of_an_ai(bot: Bot, sandbox: Sandbox):
    await sandbox.phone(ANNA)
    sent = await bot("send", to=f"{ANNA}@s.whatsapp.net", text="written by a person")
    stanzas = (await sandbox.call("GET", "/trace", direction="in"))["stanzas"]
    [stanza] = [stanza for stanza in stanzas if stanza["id"] == sent["whatsapp_id"]]
    assert "participants" in stanza["children"]
    assert not {"bot", "biz"} & set(stanza["children"])


@pytest.mark.skipif(not is_known(), reason="this build keeps what it sent in memory only")
async def test_a_recipient_who_asks_again_after_a_restart_gets_the_message(tmp_path: Path, sandbox: Sandbox):
    anna = await sandbox.phone(ANNA)
    async with Driven(tmp_path, sandbox.descriptor_file) as driver:
        bot = await paired(driver, sandbox, "bot-one", BOT)
        sent = await bot("send", to=f"{ANNA}@s.whatsapp.net", text="hello")
        await bot.until("Receipt")
    async with Driven(tmp_path, sandbox.descriptor_file) as driver:
        bot = driver.bot("bot-one")
        await bot("start")
        await bot.until("Connected")
        before = (await anna.call("GET", "/inbox"))["next"]
        await anna.call("POST", "/ask-again", {"id": sent["whatsapp_id"]})
        again = (await anna.call("GET", "/inbox", after=before, wait=20))["messages"]
        assert [(message["id"], message["text"]) for message in again] == [(sent["whatsapp_id"], "hello")]


def offer(path: str) -> str:
    """A message by which a phone offers history, in base64."""
    part = e2e.Message(protocolMessage={"type": "HISTORY_SYNC_NOTIFICATION"})
    notice = part.protocolMessage.historySyncNotification
    notice.syncType, notice.directPath = e2e.HistorySyncType.RECENT, path
    notice.mediaKey, notice.fileEncSHA256, notice.fileSHA256, notice.fileLength = b"k" * 32, b"e" * 32, b"f" * 32, 1000
    return base64.b64encode(part.SerializeToString()).decode()


async def test_history_stays_at_whatsapp_and_what_it_takes_to_fetch_it_is_told(bot: Bot, sandbox: Sandbox):
    anna, own = await sandbox.phone(ANNA), await sandbox.phone(BOT)
    # a stranger's offer is none
    await anna.call("POST", "/send", {"to": BOT, "protobuf": offer("/v/t62/stranger")})
    sent = (await own.call("POST", "/send", {"to": BOT, "protobuf": offer("/v/t62/history")}))["id"]
    if not is_known():  # as ever: fetched and thrown away
        async with asyncio.timeout(20):
            while "media download" not in (await sandbox.call("GET", "/statistics"))["received"]:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        return
    offers = [await bot.until("HistoryOffered")]
    while offers[-1]["id"] != sent:
        offers.append(await bot.until("HistoryOffered"))
    assert not any("stranger" in told["notice"] for told in offers)
    assert "/v/t62/history" in offers[-1]["notice"]
    await anna.send(BOT, "hello")
    await bot.until("Received")
    received = (await sandbox.call("GET", "/statistics"))["received"]
    assert not {"media download", "media delete"} & set(received)
