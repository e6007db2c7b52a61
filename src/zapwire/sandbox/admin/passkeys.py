"""The admin API's part about passkeys: what an account demands, and what its owner does when a pairing waits for it."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import asdict, replace
from typing import Any, Final

from aiohttp import web
from pydantic import Field

from zapwire.sandbox.admin.errors import AdminBody, Handler, body_of, guarded
from zapwire.sandbox.phones.authenticator import Authenticator
from zapwire.sandbox.phones.errors import BadRequest, PhoneError
from zapwire.sandbox.phones.phone import Phone
from zapwire.sandbox.phones.phone_registry import Phones
from zapwire.sandbox.server.state.passkey import ORIGIN, RP_ID

_NO_PASSKEY: Final = "this account has no passkey"


class PasskeyOptions(AdminBody):
    """`PUT .../passkey`; what is left out stays as it is."""

    demanded: bool | None = None
    exists: bool | None = None
    """Create the passkey, or delete it; one that is demanded is created by itself unless this is false."""
    compare: bool | None = None
    silent: bool | None = None
    bare: bool | None = None
    keyless: bool | None = None


class PasskeyQuestion(AdminBody):
    """`POST .../passkey/answer`: the question, by default that of the pairing under way, and ways to be wrong."""

    question: dict[str, Any] | None = None
    origin: str = ORIGIN
    rp_id: str = RP_ID
    user_verified: bool = True


class Comparison(AdminBody):
    """`POST .../passkey/compare`."""

    same: bool = Field(description="Does the client show the same code as the phone?")


class PasskeyApi:
    """Handlers for the passkeys of one sandbox's phones."""

    def __init__(self, phones: Phones) -> None:
        self._phones = phones

    def routes(self) -> list[web.RouteDef]:
        """All routes, ready for `add_routes`."""
        passkey = "/admin/phones/{phone}/passkey"
        table: list[tuple[str, str, Handler]] = [
            ("GET", passkey, self.show),
            ("PUT", passkey, self.change),
            ("POST", passkey + "/answer", self.answer),
            ("POST", passkey + "/compare", self.compare),
        ]
        return [web.route(method, path, guarded(handler)) for method, path, handler in table]

    def _phone(self, request: web.Request) -> Phone:
        return self._phones.get(request.match_info["phone"])

    async def show(self, request: web.Request) -> web.Response:
        """What the account demands, its passkey for a browser's virtual authenticator, and the last pairing with it."""
        return web.json_response(_to_json(self._phone(request)))

    async def change(self, request: web.Request) -> web.Response:
        """Change what the account demands."""
        phone, body = self._phone(request), await body_of(request, PasskeyOptions)
        changed = body.model_dump(exclude={"exists"}, exclude_none=True)
        rule = phone.account.passkey_rule = replace(phone.account.passkey_rule, **changed)
        wanted = body.exists if body.exists is not None else phone.authenticator is not None or rule.demanded
        if not wanted:
            phone.have_passkey(None)
        else:
            phone.have_passkey(phone.authenticator or Authenticator())
        return web.json_response(_to_json(phone))

    async def answer(self, request: web.Request) -> web.Response:
        """Use the passkey, as a browser on web.whatsapp.com does when its owner agrees; gives the credential."""
        phone, body = self._phone(request), await body_of(request, PasskeyQuestion)
        if phone.authenticator is None:
            raise PhoneError(_NO_PASSKEY)
        attempt = phone.pairing.passkey
        question = body.question or (attempt.to_json()["question"] if attempt else None)
        if question is None:
            raise PhoneError("no pairing of this account waits for its passkey")
        if not isinstance(question.get("challenge"), str):
            raise BadRequest("the question has no challenge")
        credential = phone.authenticator.answer(
            question, origin=body.origin, rp_id=body.rp_id, user_verified=body.user_verified
        )
        return web.json_response({"answer": credential})

    async def compare(self, request: web.Request) -> web.Response:
        """The phone's owner says whether both codes are the same; if not, the pairing ends."""
        phone, body = self._phone(request), await body_of(request, Comparison)
        if phone.pairing.passkey is None:
            raise PhoneError("no code is to be compared")
        phone.pairing.passkey.accept(same=body.same)
        return web.Response(status=204)


def _to_json(phone: Phone) -> dict[str, Any]:
    key, attempt = phone.authenticator, phone.pairing.passkey
    credential = None
    if key is not None:
        credential = {
            "credential_id": b64encode(key.credential_id).decode(),
            "private_key": b64encode(key.private).decode(),
            "rp_id": RP_ID,
        }
    return {
        **asdict(phone.account.passkey_rule),
        "credential": credential,
        "pairing": None if attempt is None else attempt.to_json(),
    }
