"""The admin API's part about groups."""

from __future__ import annotations

from aiohttp import web
from pydantic import Field

from zapwire.sandbox.admin.errors import AdminBody, Handler, body_of, guarded
from zapwire.sandbox.phones.errors import BadRequest
from zapwire.sandbox.phones.groups import GroupActions
from zapwire.sandbox.phones.phone_registry import Phones
from zapwire.wire.node import WireJid


class NewGroup(AdminBody):
    """`POST groups`."""

    subject: str
    members: list[str] = Field(default_factory=list)


class Members(AdminBody):
    """`add`, `remove`, `promote`, `demote`."""

    members: list[str]


class Subject(AdminBody):
    """`subject`."""

    subject: str


class Join(AdminBody):
    """`join`: an invite link or its code."""

    code: str


class GroupApi:
    """Handlers for the groups of one sandbox's phones."""

    def __init__(self, phones: Phones) -> None:
        self._phones = phones

    def routes(self) -> list[web.RouteDef]:
        """All routes, ready for `add_routes`."""
        groups = "/admin/phones/{phone}/groups"
        table: list[tuple[str, str, Handler]] = [
            ("GET", groups, self.joined),
            ("POST", groups, self.create),
            ("POST", groups + "/join", self.join),
            ("GET", groups + "/{group}", self.info),
            ("GET", groups + "/{group}/invite", self.invite),
            ("POST", groups + "/{group}/leave", self.leave),
            ("POST", groups + "/{group}/subject", self.subject),
            ("POST", groups + "/{group}/{change:add|remove|promote|demote}", self.change),
        ]
        return [web.route(method, path, guarded(handler)) for method, path, handler in table]

    def _groups(self, request: web.Request) -> GroupActions:
        return self._phones.get(request.match_info["phone"]).groups

    def _group(self, request: web.Request) -> WireJid:
        name = request.match_info["group"]
        jid = WireJid.parse(name if "@" in name else f"{name}@g.us")
        if jid.server != "g.us":
            raise BadRequest(f"{name} is no group")
        return jid

    async def joined(self, request: web.Request) -> web.Response:
        """The groups that the phone is in."""
        return web.json_response({"groups": await self._groups(request).joined()})

    async def create(self, request: web.Request) -> web.Response:
        """A new group."""
        groups, body = self._groups(request), await body_of(request, NewGroup)
        return web.json_response(await groups.create(body.subject, body.members), status=201)

    async def join(self, request: web.Request) -> web.Response:
        """Join by invite link."""
        groups, body = self._groups(request), await body_of(request, Join)
        return web.json_response({"group": await groups.join(body.code)})

    async def info(self, request: web.Request) -> web.Response:
        """One group."""
        return web.json_response(await self._groups(request).info(self._group(request)))

    async def invite(self, request: web.Request) -> web.Response:
        """The code of the invite link."""
        return web.json_response({"code": await self._groups(request).invite_code(self._group(request))})

    async def leave(self, request: web.Request) -> web.Response:
        """Leave."""
        await self._groups(request).leave(self._group(request))
        return web.Response(status=204)

    async def subject(self, request: web.Request) -> web.Response:
        """Rename."""
        groups, body = self._groups(request), await body_of(request, Subject)
        await groups.set_subject(self._group(request), body.subject)
        return web.Response(status=204)

    async def change(self, request: web.Request) -> web.Response:
        """Add, remove, promote or demote members."""
        groups, body = self._groups(request), await body_of(request, Members)
        await groups.change_members(self._group(request), request.match_info["change"], body.members)
        return web.Response(status=204)
