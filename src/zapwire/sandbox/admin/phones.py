"""The sandbox's admin API: virtual phones and contacts. JSON over HTTPS on the sandbox's own port."""

from __future__ import annotations

from typing import Final

from aiohttp import web
from pydantic import Field

from zapwire.sandbox.admin.errors import AdminBody, Handler, body_of, guarded, query_of
from zapwire.sandbox.phones.compose import PhoneMessage
from zapwire.sandbox.phones.errors import BadRequest
from zapwire.sandbox.phones.phone import Phone
from zapwire.sandbox.phones.phone_registry import Phones, number_from
from zapwire.wire import adv

MAX_WAIT: Final = 120.0
"""Seconds that a reader of an inbox may wait for news."""


UNTRUSTED: Final = {
    "Content-Disposition": "attachment",
    "Content-Security-Policy": "sandbox; default-src 'none'",
    "X-Content-Type-Options": "nosniff",
}
"""A file is never part of the page, whatever type its sender claims."""


class NewPhone(AdminBody):
    """`POST /admin/phones`."""

    phone: str
    push_name: str = ""


class ScanBody(AdminBody):
    """`scan`."""

    qr: str


class Code(AdminBody):
    """`enter-code`."""

    code: str


class Page(AdminBody):
    """`inbox` and `log`: what came after, and how many seconds to wait for it."""

    after: int = 0
    wait: float = Field(default=0, ge=0, le=MAX_WAIT)
    kinds: str = ""


class ReadBody(AdminBody):
    """`read`: these messages, those of one chat, or all."""

    ids: list[str] = Field(default_factory=list)
    chat: str = ""
    played: bool = False


class Typing(AdminBody):
    """`typing`."""

    to: str
    state: str = "composing"


class Presence(AdminBody):
    """`presence`."""

    available: bool = True


class AskAgain(AdminBody):
    """`ask-again`."""

    id: str


class Block(AdminBody):
    """`block`."""

    phone: str
    on: bool = True


class AdminApi:
    """Handlers for the phones of one sandbox."""

    def __init__(self, phones: Phones) -> None:
        self._phones = phones

    def routes(self) -> list[web.RouteDef]:
        """All routes, ready for `add_routes`."""
        phone = "/admin/phones/{phone}"
        table: list[tuple[str, str, Handler]] = [
            ("GET", "/admin/phones", self.list_phones),
            ("POST", "/admin/phones", self.create_phone),
            ("GET", phone, self.show_phone),
            ("POST", phone + "/scan", self.scan),
            ("POST", phone + "/enter-code", self.enter_code),
            ("POST", phone + "/send", self.send),
            ("GET", phone + "/inbox", self.inbox),
            ("GET", phone + "/log", self.log),
            ("GET", phone + "/messages/{id}/file", self.file),
            ("GET", phone + "/messages/{id}/protobuf", self.protobuf),
            ("POST", phone + "/read", self.read),
            ("POST", phone + "/typing", self.typing),
            ("POST", phone + "/presence", self.presence),
            ("POST", phone + "/ask-again", self.ask_again),
            ("POST", phone + "/block", self.block),
            ("PUT", phone + "/picture", self.picture),
            ("DELETE", phone + "/devices/{device}", self.unlink),
            ("POST", "/admin/mock-phone/scan-qr", self.scan_qr),
        ]
        return [web.route(method, path, guarded(handler)) for method, path, handler in table]

    def _phone(self, request: web.Request) -> Phone:
        return self._phones.get(request.match_info["phone"])

    async def list_phones(self, _: web.Request) -> web.Response:
        """All phones."""
        return web.json_response({"phones": [phone.to_json() for phone in self._phones]})

    async def create_phone(self, request: web.Request) -> web.Response:
        """Create a phone; one that exists stays as it is, apart from a new push name."""
        body = await body_of(request, NewPhone)
        phone, new = await self._phones.ensure(body.phone, body.push_name)
        return web.json_response(phone.to_json(), status=201 if new else 200)

    async def show_phone(self, request: web.Request) -> web.Response:
        """One phone."""
        return web.json_response(self._phone(request).to_json())

    async def scan(self, request: web.Request) -> web.Response:
        """Scan a QR code, given as its text."""
        phone, body = self._phone(request), await body_of(request, ScanBody)
        return web.json_response({"device": await phone.pairing.scan(body.qr)})

    async def enter_code(self, request: web.Request) -> web.Response:
        """Type a pairing code."""
        phone, body = self._phone(request), await body_of(request, Code)
        return web.json_response({"device": await phone.pairing.enter_code(body.code)})

    async def scan_qr(self, request: web.Request) -> web.Response:
        """Pair the client that shows this QR text (the body), with a phone that is created when needed.

        The number is `?phone=`, or comes from the push name that the client has given; without both it is a new one.
        `?name=` names the account.
        Other projects' end-to-end suites make this very call.
        """
        text = (await request.text()).strip()
        try:
            ref = adv.parse_qr(text).ref
        except ValueError as error:
            raise BadRequest(str(error)) from error
        push_name = self._phones.push_name_of(ref)
        number = request.query.get("phone", "") or number_from(push_name) or self._phones.unused_number()
        phone, _ = await self._phones.ensure(number, request.query.get("name", "") or push_name)
        device = await phone.pairing.scan(text)
        return web.json_response({"device": device, **phone.to_json()})

    async def send(self, request: web.Request) -> web.Response:
        """Send a message."""
        phone, body = self._phone(request), await body_of(request, PhoneMessage)
        return web.json_response({"id": await phone.send(body)})

    async def inbox(self, request: web.Request) -> web.Response:
        """The messages that this phone got, after a number; waits for the next one when asked to."""
        return await self._page(request, "messages", "message")

    async def log(self, request: web.Request) -> web.Response:
        """Everything that happened on this phone: messages, receipts, typing, presence, groups."""
        return await self._page(request, "entries", "")

    async def _page(self, request: web.Request, name: str, kinds: str) -> web.Response:
        phone, page = self._phone(request), query_of(request, Page)
        wanted = frozenset(filter(None, (page.kinds or kinds).split(",")))
        entries = await phone.inbox.wait_after(page.after, page.wait, wanted)
        last = entries[-1].seq if entries else page.after
        return web.json_response({name: [entry.to_json() for entry in entries], "next": last})

    async def file(self, request: web.Request) -> web.Response:
        """The file of a media message."""
        mimetype, data = self._phone(request).file_of(request.match_info["id"])
        return web.Response(body=data, headers={**UNTRUSTED, "Content-Type": mimetype})

    async def protobuf(self, request: web.Request) -> web.Response:
        """A message as it came: a serialized waE2E.Message."""
        raw = self._phone(request).raw_of(request.match_info["id"])
        return web.Response(body=raw, headers=UNTRUSTED, content_type="application/octet-stream")

    async def read(self, request: web.Request) -> web.Response:
        """Mark messages read or played."""
        phone, body = self._phone(request), await body_of(request, ReadBody)
        return web.json_response({"marked": await phone.read(body.ids, body.chat, played=body.played)})

    async def typing(self, request: web.Request) -> web.Response:
        """Type, record, or stop."""
        phone, body = self._phone(request), await body_of(request, Typing)
        await phone.typing(body.to, body.state)
        return web.Response(status=204)

    async def ask_again(self, request: web.Request) -> web.Response:
        """Ask for a message once more, as if it could not be read."""
        phone, body = self._phone(request), await body_of(request, AskAgain)
        await phone.ask_again(body.id)
        return web.Response(status=204)

    async def presence(self, request: web.Request) -> web.Response:
        """Come online, or go."""
        phone, body = self._phone(request), await body_of(request, Presence)
        await phone.presence(available=body.available)
        return web.Response(status=204)

    async def block(self, request: web.Request) -> web.Response:
        """Block or unblock somebody."""
        phone, body = self._phone(request), await body_of(request, Block)
        await phone.block(body.phone, on=body.on)
        return web.Response(status=204)

    async def picture(self, request: web.Request) -> web.Response:
        """Set the profile picture: a JPEG as body."""
        await self._phone(request).set_picture(await request.read())
        return web.Response(status=204)

    async def unlink(self, request: web.Request) -> web.Response:
        """Log a companion out from the phone."""
        phone, device = self._phone(request), request.match_info["device"]
        if not device.isdecimal():
            raise BadRequest("a device is a number")
        await phone.unlink(int(device))
        return web.Response(status=204)
