"""The admin API's part about channels."""

from __future__ import annotations

import secrets
from typing import Any

from aiohttp import web

from zapwire.sandbox.admin.errors import AdminBody, Handler, body_of, guarded
from zapwire.sandbox.phones import content
from zapwire.sandbox.phones.errors import NotOnWhatsApp
from zapwire.sandbox.phones.phone_registry import Phones
from zapwire.sandbox.server.handlers.messages import channel_post
from zapwire.sandbox.server.state.channels import Channel
from zapwire.sandbox.server.world import World
from zapwire.wire.node import WireJid


class NewChannel(AdminBody):
    """`POST channels`."""

    name: str


class NewPost(AdminBody):
    """`POST posts`: somebody else who owns the channel writes."""

    text: str


class ChannelApi:
    """Handlers for the channels of one sandbox's phones."""

    def __init__(self, phones: Phones, world: World) -> None:
        self._phones = phones
        self._world = world

    def routes(self) -> list[web.RouteDef]:
        """All routes, ready for `add_routes`."""
        channels = "/admin/phones/{phone}/channels"
        table: list[tuple[str, str, Handler]] = [
            ("POST", channels, self.create),
            ("GET", channels + "/{channel}", self.show),
            ("POST", channels + "/{channel}/posts", self.post),
        ]
        return [web.route(method, path, guarded(handler)) for method, path, handler in table]

    def _channel(self, request: web.Request) -> Channel:
        channel = self._world.channels.get(WireJid.parse(request.match_info["channel"]))
        if channel is None:
            raise NotOnWhatsApp("no such channel")
        return channel

    async def create(self, request: web.Request) -> web.Response:
        """Create a channel of that phone's account."""
        phone, body = self._phones.get(request.match_info["phone"]), await body_of(request, NewChannel)
        channel = self._world.channels.create(body.name, phone.account.lid)
        return web.json_response({"channel": str(channel.jid), "name": channel.name}, status=201)

    async def show(self, request: web.Request) -> web.Response:
        """A channel with its posts."""
        channel = self._channel(request)
        posts: list[dict[str, Any]] = [
            {
                "id": one.id,
                "server_id": one.number,
                "edit": one.edit,
                **content.describe(content.parse(one.protobuf)),
            }
            for one in channel.posts
        ]
        return web.json_response({"channel": str(channel.jid), "name": channel.name, "posts": posts})

    async def post(self, request: web.Request) -> web.Response:
        """Let somebody post; all linked devices of the phone's account, which follows the channel, get it."""
        channel, body = self._channel(request), await body_of(request, NewPost)
        phone = self._phones.get(request.match_info["phone"])
        made = channel.post(secrets.token_hex(10).upper(), content.text(body.text).SerializeToString())
        for device in list(phone.account.devices.values()):
            await self._world.post(device, channel_post(channel, made))
        return web.json_response({"id": made.id, "server_id": made.number}, status=201)
