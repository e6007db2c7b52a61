"""What the server does wrong on demand, and clients that do not read, over a real TLS socket."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

from tests.sandbox.recording import Recorder, fan_out
from tests.sandbox.served import PHONE, alice, logged_in, pair
from tests.sandbox.wire_client import Ended, WireClient
from zapwire.sandbox.server.network import client_socket
from zapwire.sandbox.server.network.sandbox_server import SandboxServer
from zapwire.sandbox.server.state.faults import LoginFailure, stream_error
from zapwire.wire.node import Node


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


async def test_a_client_that_missed_stanzas_in_a_freeze_comes_back_for_them(
    server: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_socket, "QUEUE", 3)
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
    monkeypatch.setattr(client_socket, "STALLED_SECONDS", 0)
    client, _ = await logged_in(server)
    async with client:
        (link,) = server.world.faults.connections
        for _ in range(client_socket.QUEUE + 1):
            await link.deliver(Node("ib"))
        with pytest.raises((Ended, ConnectionError)):
            await client.until("what never comes")


async def never_answered(client: WireClient, kind: str, space: str) -> None:
    asking = asyncio.create_task(client.ask(kind, space, Node("active")))
    done, _ = await asyncio.wait([asking], timeout=0.2)
    assert not done
    asking.cancel()
    await asyncio.wait([asking])


async def test_a_deaf_server_takes_logins_and_answers_keep_alives_alone(server: SandboxServer) -> None:
    client, number = await logged_in(server)
    async with client:
        await client.ask("set", "passive", Node("active"))
        server.world.faults.turn_deaf(PHONE)
        await never_answered(client, "set", "passive")
        assert (await client.ask("get", "w:p")).text("type") == "result"
    async with await client.connect(client.login(PHONE, number)):
        assert (await client.ask("set", "passive", Node("active"))).text("type") == "result", "a part of the login"
        await never_answered(client, "set", "passive")
        server.world.faults.clear()
        with pytest.raises((Ended, ConnectionError)):  # to come back for what was missed
            await client.until("what never comes")


async def test_a_half_open_connection_is_forgotten_and_stays_open(server: SandboxServer) -> None:
    client, number = await logged_in(server)
    async with client:
        assert server.world.faults.half_open(PHONE) == 1
        assert alice(server).devices[number].endpoint is None
        await never_answered(client, "get", "w:p")


async def test_connections_of_one_phone_are_refused_and_others_are_not(server: SandboxServer) -> None:
    client, number = await logged_in(server)
    async with client:
        server.world.faults.refuse(on=True, phone=PHONE)
        assert (await client.ask("get", "w:p")).text("type") == "result", "what exists goes on"
    async with await client.connect(client.login(PHONE, number)):
        with pytest.raises((Ended, ConnectionError)):
            await client.next()
    async with await WireClient(server.descriptor).connect(client.registration()) as other:
        assert await other.qr_codes()


async def test_a_flapping_connection_is_cut_after_each_login(server: SandboxServer) -> None:
    client, number = await logged_in(server)
    async with client:
        server.world.faults.flap(PHONE, 0.1)
        with pytest.raises((Ended, ConnectionError)):
            await client.until("what never comes")
    async with await client.connect(client.login(PHONE, number)):
        assert (await client.next()).tag == "success"
        with pytest.raises((Ended, ConnectionError)):
            await client.until("what never comes")


async def test_a_slow_connection_takes_its_time(server: SandboxServer) -> None:
    client, _ = await logged_in(server)
    async with client:
        server.world.faults.slow_down(PHONE, 20)
        await never_answered(client, "get", "w:p")
        server.world.faults.clear()
        assert (await client.ask("get", "w:p")).text("type") == "result"
