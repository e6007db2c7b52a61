"""The server over a real TLS socket: pairing, login, faults, media, the proxy, the state file."""

import asyncio
import base64
import hashlib
import json
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from tests.sandbox.recording import Recorder, fan_out
from tests.sandbox.wire_client import Ended, WireClient
from zapwire.sandbox import adv, connection
from zapwire.sandbox.accounts import Account
from zapwire.sandbox.faults import LoginFailure, stream_error
from zapwire.sandbox.node import Node
from zapwire.sandbox.pairing import PairingFailed
from zapwire.sandbox.proxy import leads_to_sandbox
from zapwire.sandbox.server import SandboxServer
from zapwire.sandbox.signal.curve import KeyPair
from zapwire.sandbox.state import StateError, StateFile
from zapwire.sandbox.world import World

PHONE = "491510000001"
PHONE_KEY = KeyPair.generate()


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "GOODBYE_SECONDS", 0.01)
    monkeypatch.setattr(connection, "SETTLE_SECONDS", 0)


@pytest_asyncio.fixture
async def server() -> AsyncIterator[SandboxServer]:
    async with SandboxServer(World()) as server:
        server.world.create_account(PHONE, "Alice")
        yield server


def alice(server: SandboxServer) -> Account:
    return server.world.accounts[PHONE]


async def scan(server: SandboxServer, code: str) -> int:
    qr = adv.parse_qr(code)
    container = adv.identity_container(PHONE_KEY, qr.identity_public, qr.adv_secret, raw_id=1, key_index=1, timestamp=1)
    return await server.world.pair(qr.ref, alice(server), 1, container)


async def pair(server: SandboxServer) -> tuple[WireClient, int]:
    client = WireClient(server.descriptor)
    async with await client.connect(client.registration()):
        codes = await client.qr_codes()
        assert len(set(codes)) == 6
        number, (jid, lid) = await asyncio.gather(scan(server, codes[2]), client.confirm_pairing())
        assert (str(jid), str(lid)) == (f"{PHONE}:{number}@s.whatsapp.net", f"{alice(server).lid}:{number}@lid")
        assert (await client.until("stream:error")).text("code") == "515"
        with pytest.raises(Ended):
            await client.next()
    return client, number


async def logged_in(server: SandboxServer) -> tuple[WireClient, int]:
    client, number = await pair(server)
    await client.connect(client.login(PHONE, number))
    success = await client.next()
    assert (success.tag, str(success.jid("lid"))) == ("success", f"{alice(server).lid}:{number}@lid")
    return client, number


async def test_pairing_login_and_delivery(server: SandboxServer) -> None:
    client, number = await logged_in(server)
    async with client:
        assert client.server_static == server.state.identity.static.public
        phone = Recorder(server.world, alice(server), 0)
        server.world.attach(alice(server), 0, phone)
        device = alice(server).lid_jid.with_device(number)
        await phone.send(fan_out(alice(server).lid_jid, "m1", device))
        assert (await client.ask("set", "passive", Node("active"))).text("type") == "result"
        assert (await client.until("message")).text("offline") == "1"  # after the notification of its own device
        await client.until("ib")
        await phone.send(fan_out(alice(server).lid_jid, "m2", device))
        assert (await client.until("message")).text("id") == "m2"
    assert server.world.statistics.to_json()["pairings"] == 1


async def test_a_reference_pairs_once(server: SandboxServer) -> None:
    client = WireClient(server.descriptor)
    async with await client.connect(client.registration()):
        codes = await client.qr_codes()
        await asyncio.gather(scan(server, codes[0]), client.confirm_pairing())
        with pytest.raises(LookupError):
            await scan(server, codes[1])


async def test_a_companion_that_signs_wrongly_is_not_paired(server: SandboxServer) -> None:
    client = WireClient(server.descriptor)
    async with await client.connect(client.registration()):
        codes = await client.qr_codes()
        confirming = asyncio.create_task(client.confirm_pairing(spoil=True))
        with pytest.raises(PairingFailed):
            await scan(server, codes[0])
        await confirming
    assert list(alice(server).devices) == [0]


async def test_unscanned_codes_end_with_the_connection() -> None:
    async with SandboxServer(World(), registration_seconds=0.05) as server:
        client = WireClient(server.descriptor)
        async with await client.connect(client.registration()):
            assert (await client.next()).child("pair-device") is not None
            with pytest.raises(Ended):
                await client.next()
        assert server.world.pairings.waiting() == []


@pytest.mark.parametrize(
    ("failure", "attrs"),
    [
        (LoginFailure(401), {}),
        (LoginFailure(402, {"code": "101", "expire": "3600"}), {"code": "101", "expire": "3600"}),
        (LoginFailure(403, {"message": "locked"}), {"message": "locked"}),
        (LoginFailure(503), {}),
    ],
)
async def test_logins_fail_on_demand(server: SandboxServer, failure: LoginFailure, attrs: dict[str, str]) -> None:
    client, number = await pair(server)
    failure.times = 1
    server.world.faults.fail_logins(failure, PHONE)
    async with await client.connect(client.login(PHONE, number)):
        node = await client.next()
        assert (node.tag, node.text("reason")) == ("failure", str(failure.reason))
        assert attrs.items() <= node.attrs.items()
        with pytest.raises(Ended):
            await client.next()
    async with await client.connect(client.login(PHONE, number)):
        assert (await client.next()).tag == "success"


@pytest.mark.parametrize("other", ["key", "device", "account"])
async def test_strangers_are_logged_out(server: SandboxServer, other: str) -> None:
    client, number = await pair(server)
    if other == "key":
        client.noise = KeyPair.generate()
    payload = client.login("999999999" if other == "account" else PHONE, 77 if other == "device" else number)
    async with await client.connect(payload):
        assert (await client.next()).text("reason") == "401"


async def test_an_unlinked_device_is_told_and_stays_out(server: SandboxServer) -> None:
    client, number = await logged_in(server)
    async with client:
        await server.world.remove_device(alice(server), number)
        error = await client.until("stream:error")
        assert (error.text("code"), error.child("conflict").text("type")) == ("401", "device_removed")
    async with await client.connect(client.login(PHONE, number)):
        assert (await client.next()).text("reason") == "401"


async def test_logging_out_unlinks(server: SandboxServer) -> None:
    client, number = await logged_in(server)
    async with client:
        jid = alice(server).phone_jid.with_device(number)
        request = Node("remove-companion-device", {"jid": jid, "reason": "user_initiated"})
        assert (await client.ask("set", "md", request)).text("type") == "result"
        await client.until("stream:error")
    assert list(alice(server).devices) == [0]


async def test_a_second_login_replaces_the_first(server: SandboxServer) -> None:
    first, number = await logged_in(server)
    async with first:
        second = WireClient(server.descriptor)
        second.noise = first.noise
        async with await second.connect(second.login(PHONE, number)):
            assert (await first.until("stream:error")).child("conflict").text("type") == "replaced"
            assert (await second.next()).tag == "success"
            with pytest.raises(Ended):
                await first.next()
            assert (await second.ask("get", "w:p")).text("type") == "result"


@pytest.mark.parametrize(
    ("error", "children"),
    [
        (stream_error(503), []),
        (stream_error(conflict="replaced"), ["conflict"]),
        (stream_error(500, child="xml-not-well-formed"), ["xml-not-well-formed"]),
    ],
)
async def test_stream_errors_on_demand(server: SandboxServer, error: Node, children: list[str]) -> None:
    client, _ = await logged_in(server)
    async with client:
        assert await server.world.faults.send_stream_error(error, PHONE) == 1
        told = await client.until("stream:error")
        assert (told.text("code"), [child.tag for child in told.children]) == (error.text("code"), children)
        with pytest.raises(Ended):
            await client.next()


async def test_a_frozen_server_answers_after_the_thaw(server: SandboxServer) -> None:
    client, _ = await logged_in(server)
    async with client:
        server.world.faults.freeze(PHONE)
        asking = asyncio.create_task(client.ask("get", "w:p"))
        done, _ = await asyncio.wait([asking], timeout=0.2)
        assert not done
        server.world.faults.thaw(PHONE)
        assert (await asking).text("type") == "result"


async def test_dropping_is_sudden(server: SandboxServer) -> None:
    client, number = await logged_in(server)
    async with client:
        assert server.world.faults.drop(PHONE, number) == 1
        with pytest.raises((Ended, ConnectionError)):
            await client.next()


async def test_refusing_lets_nobody_in(server: SandboxServer) -> None:
    server.world.faults.refuse(on=True)
    client = WireClient(server.descriptor)
    with pytest.raises(aiohttp.ClientError):
        await client.connect(client.registration())
    server.world.faults.clear()
    async with await client.connect(client.registration()):
        assert await client.qr_codes()


async def test_rubbish_ends_the_connection_only(server: SandboxServer) -> None:
    async with aiohttp.ClientSession() as http:
        context = ssl.create_default_context(cafile=server.descriptor["ca"])
        async with http.ws_connect(server.descriptor["socket_url"], ssl=context) as socket:
            await socket.send_bytes(b"hello")
            assert (await socket.receive()).type is aiohttp.WSMsgType.CLOSE
    client = WireClient(server.descriptor)
    async with await client.connect(client.registration()):
        assert await client.qr_codes()


# ---- media


async def test_media_is_kept_under_its_hash(server: SandboxServer) -> None:
    client, _ = await logged_in(server)
    async with client, aiohttp.ClientSession() as http:
        context = ssl.create_default_context(cafile=server.descriptor["ca"])
        answer = (await client.ask("set", "w:m", Node("media_conn"))).child("media_conn")
        host = answer.child("host").text("hostname")
        assert f"https://{host}" == server.base_url  # what this client dialled
        data = b"encrypted" * 1000
        digest = hashlib.sha256(data).digest()
        token = base64.urlsafe_b64encode(digest).decode()
        auth = {"auth": answer.text("auth"), "token": token}

        async def post(token: str, auth: dict[str, str]) -> aiohttp.ClientResponse:
            return await http.post(f"https://{host}/mms/image/{token}", params=auth, data=data, ssl=context)

        assert (await post(token, {**auth, "auth": "guess"})).status == 401
        assert (await post("A" * 44, auth)).status == 400
        told = await (await post(token, auth)).json()
        path = told["direct_path"]
        assert told["url"] == f"https://{host}{path}"
        # through the proxy the host has WhatsApp's name, which leads nobody else here
        named = {"Host": "mmg.whatsapp.net"}
        upload = f"https://{host}/mms/image/{token}"
        async with http.post(upload, params=auth, data=data, ssl=context, headers=named) as response:
            assert (await response.json())["url"] == f"https://{host}{path}"
        for asked, status in ((token, 200), ("A" * 44, 403)):
            url = f"https://{host}{path}&hash={asked}&mms-type=image"
            async with http.get(url, ssl=context) as response:
                assert response.status == status
                assert status != 200 or await response.read() == data
        async with http.get(f"https://{host}/v/t62/{'A' * 43}", ssl=context) as response:
            assert response.status == 404


# ---- the proxy


def test_where_the_proxy_leads() -> None:
    assert leads_to_sandbox("web.whatsapp.com:443")
    assert leads_to_sandbox("mmg.whatsapp.net:443")
    assert not any(map(leads_to_sandbox, ["web.whatsapp.com:80", "example.org:443", "xwhatsapp.net:443", "", ":443"]))


async def test_the_usual_address_leads_here_through_the_proxy(server: SandboxServer) -> None:
    descriptor = {**server.descriptor, "socket_url": "wss://web.whatsapp.com/ws/chat"}
    descriptor["use_proxy"] = server.descriptor["proxy"]
    client = WireClient(descriptor)
    async with await client.connect(client.registration()):
        assert await client.qr_codes()
    client.descriptor = {**descriptor, "socket_url": server.descriptor["socket_url"]}
    async with await client.connect(client.registration()):
        assert await client.qr_codes()
    client.descriptor = {**descriptor, "socket_url": "wss://example.org/ws/chat"}
    with pytest.raises(aiohttp.ClientHttpProxyError):
        await client.connect(client.registration())
    assert server.proxy.refused == {"example.org:443": 1}


# ---- the state file


async def test_everything_outlives_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    async with SandboxServer(World(), state=path) as server:
        descriptor = server.descriptor
        server.world.create_account(PHONE, "Alice")
        client, number = await pair(server)
        phone = Recorder(server.world, alice(server), 0)
        server.world.attach(alice(server), 0, phone)
        await phone.send(fan_out(alice(server).lid_jid, "m1", alice(server).lid_jid.with_device(number)))
        group = server.world.groups.create("Lunch", alice(server))
        server.state.add_section("phones", lambda: ["kept"], lambda _: None)
        server.world.media.add(b"a picture")
        media = server.world.media.files()
    assert path.stat().st_mode & 0o777 == 0o600

    async with SandboxServer(World(), state=path) as server:
        assert server.descriptor == descriptor
        restored: list[list[str]] = []
        server.state.add_section("phones", lambda: ["kept"], restored.append)
        assert restored == [["kept"]]
        assert server.world.media.files() == media
        assert server.world.groups.get(group.jid) == group
        async with await client.connect(client.login(PHONE, number)):
            assert (await client.next()).tag == "success"
            await client.ask("set", "passive", Node("active"))
            assert (await client.until("message")).text("id") == "m1"
        assert server.world.accounts[PHONE].devices[number].device_identity


async def test_media_are_written_once_and_removed_with_their_store(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    world = World()
    world.media.add(b"a picture")
    async with SandboxServer(world, state=path) as server:
        await server.state.write()
        (file,) = (tmp_path / "state.media").iterdir()
        written = file.stat().st_mtime_ns
        await server.state.write()
        assert file.stat().st_mtime_ns == written
    async with SandboxServer(World(), state=path) as server:
        file.unlink()
        await server.state.write()
        assert file.read_bytes() == b"a picture"
    file.unlink()
    with pytest.raises(StateError):
        StateFile(World(), path)


async def test_changes_are_written_while_it_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zapwire.sandbox.state.PAUSE_SECONDS", 0)
    path = tmp_path / "state.json"
    async with SandboxServer(World(), state=path) as server:
        server.world.create_account(PHONE)
        async with asyncio.timeout(10):
            while not path.exists() or PHONE not in path.read_text():  # noqa: ASYNC110  a file wakes nobody
                await asyncio.sleep(0.01)


@pytest.mark.parametrize("content", ["", "[]", "{}", json.dumps({"version": 999})])
async def test_a_strange_state_file_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "state.json"
    path.write_text(content)
    with pytest.raises(StateError):
        StateFile(World(), path)
    assert path.read_text() == content


# ---- pairing by code


async def test_a_new_code_takes_the_place_of_the_old_one(server: SandboxServer) -> None:
    phone = Recorder(server.world, alice(server), 0)
    server.world.attach(alice(server), 0, phone)
    client = WireClient(server.descriptor)
    async with await client.connect(client.registration()):
        await client.qr_codes()

        async def hello() -> str:
            parts = [Node("link_code_pairing_wrapped_companion_ephemeral_pub", {}, bytes(80))]
            attrs = {"jid": alice(server).phone_jid, "stage": "companion_hello"}
            answer = await client.ask("set", "md", Node("link_code_companion_reg", attrs, parts))
            return answer.child("link_code_companion_reg", "link_code_pairing_ref").data.decode()

        old, new = await hello(), await hello()
        assert [request.ref for request in server.world.code_requests(PHONE)] == [new]
        stages = [n.child("link_code_companion_reg").text("stage") for n in phone.all("notification")]
        assert stages == ["companion_hello", "companion_hello"]
        with pytest.raises(LookupError):
            await server.world.primary_hello(old, bytes(80), bytes(32))
        await server.world.primary_hello(new, b"w" * 80, b"i" * 32)
        told = (await client.until("notification")).child("link_code_companion_reg")
        assert (told.text("stage"), told.child("primary_identity_pub").data) == ("primary_hello", b"i" * 32)
    assert server.world.code_requests("999999999") == []


async def test_what_a_waiting_client_may_not_ask_is_counted(server: SandboxServer) -> None:
    client = WireClient(server.descriptor)
    async with await client.connect(client.registration()):
        await client.qr_codes()
        assert (await client.ask("get", "w:p")).text("type") == "result"
        await client.send(Node("presence", {"type": "unavailable"}))
        refused = await client.ask("get", "usync", Node("usync"))
        assert refused.child("error").text("code") == "501"
    assert dict(server.world.statistics.unhandled) == {"iq get usync usync": 1}


# ---- clients that do not read


async def test_a_client_that_missed_stanzas_in_a_freeze_comes_back_for_them(
    server: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "QUEUE", 3)
    client, number = await logged_in(server)
    phone = Recorder(server.world, alice(server), 0)
    server.world.attach(alice(server), 0, phone)
    address = alice(server).lid_jid
    sent = [f"m{i}" for i in range(10)]
    async with client:
        await client.ask("set", "passive", Node("active"))
        while (await client.until("ib")).child("offline") is None:
            pass
        server.world.faults.freeze(PHONE)
        for message in sent:
            await phone.send(fan_out(address, message, address.with_device(number)))
        server.world.faults.thaw(PHONE)
        with pytest.raises((Ended, ConnectionError)):
            await client.until("what never comes")
    async with await client.connect(client.login(PHONE, number)):
        await client.ask("set", "passive", Node("active"))
        assert [(await client.until("message")).text("id") for _ in sent] == sent


async def test_a_client_that_stalls_is_cut_off(server: SandboxServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "STALLED_SECONDS", 0)
    client, _ = await logged_in(server)
    async with client:
        (link,) = server.world.faults.connections
        for _ in range(connection.QUEUE + 1):
            await link.deliver(Node("ib"))
        with pytest.raises((Ended, ConnectionError)):
            await client.until("what never comes")
