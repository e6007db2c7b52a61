"""The admin API's part about the server itself: faults on demand, statistics, the trace of stanzas."""

from __future__ import annotations

import json
import time
from typing import Annotated, Final, Literal, TypeAlias

from aiohttp import web
from pydantic import Field, TypeAdapter

from zapwire.sandbox.admin.errors import AdminBody, Handler, guarded, query_of
from zapwire.sandbox.server.replies import SERVER, notification
from zapwire.sandbox.server.state.faults import CLIENT_REVISION, LoginFailure, MessageError, WebPage, stream_error
from zapwire.sandbox.server.world import World
from zapwire.wire.node import Node

FAILURE_ATTRS: Final = ("code", "expire", "message")


class Refuse(AdminBody):
    """Cut every new connection (`on`: false ends it); with `phone` only that account's, at its login."""

    kind: Literal["refuse"]
    on: bool = True
    phone: str = ""


class Freeze(AdminBody):
    """Answer nothing any more but keep the sockets, until `thaw`."""

    kind: Literal["freeze", "thaw"]
    phone: str = ""


class Drop(AdminBody):
    """Cut sockets without a word."""

    kind: Literal["drop"]
    phone: str = ""
    device: int | None = None


class Flap(AdminBody):
    """Cut an account's connections so many seconds after each login."""

    kind: Literal["flap"]
    phone: str
    seconds: float = Field(default=1.0, gt=0)


class Slow(AdminBody):
    """Make an account's connections slow."""

    kind: Literal["slow"]
    phone: str
    bytes_per_second: int = Field(default=1000, ge=1)


class Deaf(AdminBody):
    """Take an account's logins and answer its keep-alives, but nothing else, and deliver nothing."""

    kind: Literal["deaf"]
    phone: str


class NoAck(AdminBody):
    """Take an account's messages and neither acknowledge nor deliver them; all else works."""

    kind: Literal["no-ack"]
    phone: str


class HalfOpen(AdminBody):
    """Forget connections without closing them."""

    kind: Literal["half-open"]
    phone: str = ""


class FailLogins(AdminBody):
    """Answer logins with `<failure reason>`: 401, 402 (temporary ban: `code`, `expire` in seconds), 405 ..."""

    kind: Literal["failure"]
    reason: int
    phone: str = ""
    code: int | None = None
    expire: int | None = None
    message: str | None = None
    times: int | None = Field(default=None, ge=1)


class RefuseMessages(AdminBody):
    """Acknowledge an account's messages with an error (463, 479 ...) instead of delivering them.

    With `strangers` only those to people who never wrote to the account.
    """

    kind: Literal["message-error"]
    code: int = Field(ge=400, le=599)
    phone: str = ""
    times: int | None = Field(default=None, ge=1)
    strangers: bool = False


class StreamError(AdminBody):
    """End connections with `<stream:error>`: a code, a conflict (`device_removed`, `replaced`), another child."""

    kind: Literal["stream-error"]
    code: int | None = None
    conflict: str = ""
    child: str = ""
    phone: str = ""
    device: int | None = None


class TimeLock(AdminBody):
    """Tell an account's devices that it may not write to strangers for so many seconds; 0: that it may again."""

    kind: Literal["time-lock"]
    phone: str
    seconds: int = Field(ge=0, le=10**9)


class Outdated(AdminBody):
    """Let no client register or log in (405) whose version, 2.3000.N, has an N below this; 0 ends it."""

    kind: Literal["outdated"]
    below: int = Field(ge=0, le=0xFFFFFFFF)


class ServiceWorker(AdminBody):
    """Answer `GET /sw.js`, which names the newest revision of the client, with another one, or not as it should."""

    kind: Literal["sw-js"]
    answer: Literal["script", "login-page", "huge", "error", "redirect", "hang"] = "script"
    revision: int = CLIENT_REVISION


class Clear(AdminBody):
    """End all faults."""

    kind: Literal["clear"]


NetworkFault: TypeAlias = Refuse | Freeze | Drop | Flap | Slow | Deaf | NoAck | HalfOpen
VersionFault: TypeAlias = Outdated | ServiceWorker
Fault: TypeAlias = NetworkFault | FailLogins | RefuseMessages | StreamError | TimeLock | VersionFault | Clear
FAULT: TypeAdapter[Fault] = TypeAdapter(Annotated[Fault, Field(discriminator="kind")])


class TraceQuery(AdminBody):
    """`GET /admin/trace`."""

    direction: Literal["in", "out"]
    tag: Literal["message", "receipt"] = "message"
    since: float = 0


class ServerApi:
    """Handlers for the server of one sandbox."""

    def __init__(self, world: World) -> None:
        self._world = world

    def routes(self) -> list[web.RouteDef]:
        """All routes, ready for `add_routes`."""
        table: list[tuple[str, str, Handler]] = [
            ("POST", "/admin/faults", self.fault),
            ("GET", "/admin/statistics", self.statistics),
            ("GET", "/admin/trace", self.trace),
        ]
        return [web.route(method, path, guarded(handler)) for method, path, handler in table]

    async def fault(self, request: web.Request) -> web.Response:
        """Make the server misbehave; answers how many connections it hit, where that is known."""
        fault, faults, hit = FAULT.validate_json(await request.read()), self._world.faults, 0
        match fault:
            case FailLogins():
                attrs = {name: str(value) for name in FAILURE_ATTRS if (value := getattr(fault, name)) is not None}
                faults.fail_logins(LoginFailure(fault.reason, attrs, fault.times), fault.phone)
            case RefuseMessages():
                faults.refuse_messages(MessageError(fault.code, fault.times, fault.strangers), fault.phone)
            case StreamError():
                node = stream_error(fault.code, fault.conflict, fault.child)
                hit = await faults.send_stream_error(node, fault.phone, fault.device)
            case TimeLock():
                hit = await self._lock(fault)
            case Outdated():
                faults.oldest_version = fault.below
            case ServiceWorker():
                faults.web_page = WebPage(fault.revision, fault.answer)
            case Clear():
                faults.clear()
            case _:
                hit = self._break_the_network(fault)
        return web.json_response({"hit": hit})

    async def _lock(self, fault: TimeLock) -> int:
        account = self._world.accounts.get(fault.phone)
        devices = [] if account is None else [one for one in account.devices.values() if one.number]
        lock = {
            "enforcement_type": "RESTRICT_ALL_COMPANIONS" if fault.seconds else "DEFAULT",
            "is_active": fault.seconds > 0,
            "time_enforcement_ends": str(int(time.time()) + fault.seconds),
        }
        said = json.dumps({"data": {"xwa2_notify_account_reachout_timelock": lock}})
        for device in devices:
            update = Node("update", {"op_name": "NotificationUserReachoutTimelockUpdate"}, said.encode())
            await self._world.post(device, notification("mex", SERVER, [update]))
        return len(devices)

    def _break_the_network(self, fault: NetworkFault) -> int:
        faults, hit = self._world.faults, 0
        match fault:
            case Refuse():
                faults.refuse(fault.on, fault.phone)
            case Freeze(kind="freeze"):
                faults.freeze(fault.phone)
            case Freeze():
                faults.thaw(fault.phone)
            case Drop():
                hit = faults.drop(fault.phone, fault.device)
            case HalfOpen():
                hit = faults.half_open(fault.phone)
            case Flap():
                faults.flap(fault.phone, fault.seconds)
            case Slow():
                faults.slow_down(fault.phone, fault.bytes_per_second)
            case Deaf():
                faults.turn_deaf(fault.phone)
            case NoAck():
                faults.leave_unacknowledged(fault.phone)
        return hit

    async def statistics(self, _: web.Request) -> web.Response:
        """Stanzas by kind, those that nothing here understands, connections, pairings, logins."""
        return web.json_response(self._world.statistics.to_json())

    async def trace(self, request: web.Request) -> web.Response:
        """When the server read and wrote which stanza."""
        query = query_of(request, TraceQuery)
        return web.json_response(self._world.trace.to_json(query.direction, query.tag, query.since))
