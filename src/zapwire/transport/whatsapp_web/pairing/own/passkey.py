"""The step of a pairing in which WhatsApp wants the account's passkey, from its question to our request to the phone.

It begins after the phone took the QR code or the typed code. WhatsApp asks (`asked`), a browser answers (`answer`), the
phone says that it is there (`continued`), both sides show a verification code, and what the QR code held is sent again
under the keys that were agreed meanwhile. The usual `pair-success` follows.

When the answer goes out soon after the scan it carries a proof that the phone scanned *us*, and the request follows by
itself, as with whatsmeow; later a person compares the codes first. The code is always shown: the proof does not show us
that it is the phone.

Source: whatsmeow's pair-passkey.go; keys and messages are in `zapwire.wire.passkey`.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from zapwire.model.errors import Blocked, Condition, Conflict, PasskeyRefused, TransportError
from zapwire.model.pairing import PairingStep, PasskeyChallenge, VerificationCode
from zapwire.runtime.tasks import Tasks
from zapwire.transport.protocol import PairingProgress
from zapwire.transport.whatsapp_web.engine.untrusted_text import plain
from zapwire.transport.whatsapp_web.pairing.own import webauthn
from zapwire.transport.whatsapp_web.pairing.own.conversation import Conversation, Denied
from zapwire.transport.whatsapp_web.pairing.own.registration import ADV_SECRET, CompanionKeys
from zapwire.wire import passkey
from zapwire.wire.curve import KeyPair
from zapwire.wire.node import Node

PROOF_LASTS: Final = 300.0
"""Seconds after WhatsApp's notification in which the proof counts (whatsmeow, `passkeyHandoffKey.Valid`)."""
CHALLENGE_LASTS: Final = 600.0
SHORTEST_CHALLENGE: Final = 30.0
"""Seconds; WhatsApp says how long, and within these two it is believed."""
SILENCE: Final = 60.0
"""Seconds after WhatsApp took the passkey until a person is told that the phone does not answer."""
MOST_QUESTIONS: Final = 10
"""Notifications with a question in one attempt; WhatsApp sends one."""
MOST_ANSWERS: Final = 20
"""Answers that one attempt hands to WhatsApp."""
LONGEST_QUESTION: Final = 64 * 1024
_DEADLINE: Final = 20.0
"""Seconds for an answer of WhatsApp while a person waits for ours; handing in a passkey has three of them."""

_TEXTS: Final = {
    PairingStep.PASSKEY: (
        "WhatsApp wants the passkey of this account",
        "Answer with the passkey in a desktop browser, as the page of this bot says. Keep WhatsApp open on the phone.",
    ),
    PairingStep.PHONE: (
        "the passkey was accepted; the phone has to finish the pairing",
        "Accept on the phone; it may show the verification code.",
    ),
    PairingStep.COMPARE: (
        "the phone shows a verification code that has to be compared",
        "Compare the code on the phone with the one here, and confirm it if they are equal.",
    ),
}
_SILENT: Final = (
    "WhatsApp took the passkey, but the phone does not answer",
    "Open WhatsApp on the phone; if nothing comes, link again by code.",
)
_NOTHING_LINKED: Final = "Stop: somebody else is in between. Nothing was linked."
_DO_NOT_ACCEPT: Final = (
    "Stop: somebody else is in between. Do not accept on the phone; look under Linked devices there, and remove what "
    "you do not know."
)
_REFUSED: Final = "WhatsApp did not accept this passkey. Is it the one of this account? Here is a new question."


@dataclass(frozen=True, slots=True)
class _Offer:
    """What this side committed to with one answer."""

    ephemeral: KeyPair
    companion: passkey.Companion
    nonce: bytes
    with_proof: bool


@dataclass(frozen=True, slots=True)
class _Agreed:
    """What both sides agreed on."""

    key: bytes
    code: str


class PasskeyStep:
    """One step; the notifications come in order, the answers of people when they like."""

    def __init__(
        self,
        talk: Conversation,
        keys: CompanionKeys,
        scanned: bytes,
        device_type: int,
        *,
        tell: Callable[[PairingProgress], Awaitable[None]],
        end: Callable[[Exception], None],
    ) -> None:
        """*scanned* is the ADV secret that the phone has seen. *tell* also moves the attempt's end, *end* ends it."""
        self._talk = talk
        self._keys = keys
        self._handoff: bytes | None = passkey.handoff_key(scanned)
        self.adv_secret = secrets.token_bytes(ADV_SECRET)
        """Under which `pair-success` comes from now on."""
        self._device_type = device_type
        self._tell = tell
        self._end = end
        self._answering = asyncio.Lock()
        self._asked_at = time.monotonic()
        self._answers = 0
        self._challenge: PasskeyChallenge | None = None
        self._expires_at = datetime.now(UTC)
        self._offer: _Offer | None = None
        self._agreed: _Agreed | None = None
        self._requested = False
        self._questions = 0
        self._tasks = Tasks()

    async def asked(self, notification: Node) -> None:
        """WhatsApp asks, perhaps again. Raises `TransportError`, OSError."""
        self._questions += 1
        if self._questions > MOST_QUESTIONS:
            raise TransportError("WhatsApp asked for a passkey again and again")
        self._offer = self._agreed = None  # what was begun with an older question is over
        self._requested = False
        self._asked_at = time.monotonic()
        question = _question(notification)
        await self._ask_person(question if question is not None else await self._fetch())

    def shown(self) -> PasskeyChallenge | VerificationCode:
        """See `PairsByPasskey.passkey`."""
        if self._agreed is not None:
            needed = not self._requested
            return VerificationCode(self._agreed.code, needed, self._expires_at)
        if self._challenge is None:
            raise Conflict("WhatsApp took the passkey: now the phone has to answer. Open WhatsApp there.")
        return self._challenge

    async def answer(self, answer: Mapping[str, Any]) -> None:
        """See `PairsByPasskey.answer_passkey`. What was begun goes on when the caller leaves."""
        await self._tasks.shielded(self._hand_in(answer), "passkey answer")

    async def continued(self, notification: Node) -> None:
        """The phone is there. Raises `TransportError`, OSError."""
        part, offer = notification.child("primary_ephemeral_identity"), self._offer
        if part is None or offer is None or self._agreed is not None:
            return  # nothing that was asked for
        try:
            primary = passkey.Primary.read(part.data)
            key = passkey.request_key(offer.ephemeral, primary.public, self._device_type, offer.companion.ref)
        except passkey.PasskeyError:
            return  # whoever sends that is not the phone; the silence is told
        self._challenge = None
        await self._talk.ask("set", "md", Node("companion_nonce", {}, offer.nonce))
        self._agreed = _Agreed(key, passkey.verification_code(offer.nonce, primary))
        if offer.with_proof:
            await self._request()
        await self._move(PairingStep.PHONE if offer.with_proof else PairingStep.COMPARE)

    async def confirm(self, code: str) -> None:
        """See `PairsByPasskey.confirm_passkey`."""
        agreed = self._agreed
        if agreed is None:
            raise Conflict("there is no code to be confirmed yet")
        if not hmac.compare_digest(_plain(code), _plain(agreed.code)):
            self._end(_intruder(requested=self._requested))
            raise Conflict(_DO_NOT_ACCEPT if self._requested else _NOTHING_LINKED)
        if self._requested:
            raise Conflict("nothing has to be confirmed any more: accept on the phone")
        await self._tasks.shielded(self._confirmed(), "passkey confirmation")

    async def close(self) -> None:
        """End what runs."""
        await self._tasks.cancel()

    async def _confirmed(self) -> None:
        await self._request()
        await self._move(PairingStep.PHONE)

    async def _hand_in(self, answer: Mapping[str, Any]) -> None:
        async with self._answering:
            challenge = self._challenge
            if challenge is None:
                raise Conflict("WhatsApp has accepted a passkey already: now the phone has to answer")
            assertion = webauthn.check(answer, challenge.question)
            self._answers += 1
            if self._answers > MOST_ANSWERS:
                raise Conflict("too many answers were refused: connect the bot again for a new pairing")
            ref = (await self._talk.ask("get", "md", Node("ref"), deadline=_DEADLINE)).child("ref")
            try:
                await self._send(assertion, _text(ref))
            except Denied:
                self._offer = None
                await self._ask_person(await self._fetch())
                raise PasskeyRefused(_REFUSED) from None
            self._handoff = None
            if self._challenge is not challenge:
                return  # WhatsApp has asked again meanwhile, or the phone was quicker
            self._challenge = None
            if self._agreed is None:
                await self._move(PairingStep.PHONE)
                self._tasks.spawn(self._silence(self._questions), "passkey silence")

    async def _send(self, assertion: webauthn.Assertion, ref: str) -> None:
        ephemeral, nonce = KeyPair.generate(), secrets.token_bytes(passkey.NONCE)
        companion = passkey.Companion(ephemeral.public, self._device_type, ref)
        prologue = passkey.encode_prologue(companion, nonce)
        parts = [
            Node("credential_id", {}, assertion.credential_id),
            Node("webauthn_assertion", {}, assertion.json),
            Node("prologue_payload", {}, prologue),
        ]
        proves = self._handoff is not None and time.monotonic() - self._asked_at < PROOF_LASTS
        if proves and self._handoff is not None:
            parts.append(Node("pairing_handoff_proof", {}, passkey.handoff_proof(self._handoff, prologue)))
        self._offer = _Offer(ephemeral, companion, nonce, proves)
        await self._talk.ask("set", "md", Node("passkey_prologue", {}, parts), deadline=_DEADLINE)

    async def _request(self) -> None:
        if self._agreed is None or self._requested:
            return
        self._requested = True
        request = passkey.Request(self._keys.noise.public, self._keys.identity.public, self.adv_secret)
        await self._talk.ask(
            "set", "md", Node("encrypted_pairing_request", {}, request.seal(self._agreed.key)), deadline=_DEADLINE
        )

    async def _fetch(self) -> Mapping[str, Any]:
        question = _question(await self._talk.ask("get", "md", Node("passkey_request_options"), deadline=_DEADLINE))
        if question is None:
            raise TransportError("WhatsApp asks for a passkey and gives no question that can be read")
        return question

    async def _ask_person(self, question: Mapping[str, Any]) -> None:
        self._expires_at = datetime.now(UTC) + timedelta(seconds=_lasts(question))
        self._challenge = PasskeyChallenge(question, webauthn.ORIGIN, self._expires_at)
        await self._move(PairingStep.PASSKEY)

    async def _silence(self, question: int) -> None:
        await asyncio.sleep(SILENCE)
        if self._agreed is None and self._challenge is None and question == self._questions:
            await self._tell(PairingProgress(PairingStep.PHONE, self._expires_at, *_SILENT))

    async def _move(self, step: PairingStep) -> None:
        await self._tell(PairingProgress(step, self._expires_at, *_TEXTS[step]))


def _question(node: Node) -> Mapping[str, Any] | None:
    """The question in a notification or an answer, if there is one."""
    part = node.child("passkey_request_options")
    if part is None or len(part.data) > LONGEST_QUESTION:
        return None
    try:
        question = plain(json.loads(part.data))
    except (ValueError, RecursionError):
        return None
    return question if isinstance(question, dict) and webauthn.challenge_of(question) else None


def _lasts(question: Mapping[str, Any]) -> float:
    timeout = question.get("timeout")
    if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not timeout > 0:
        return CHALLENGE_LASTS
    return min(max(timeout / 1000, SHORTEST_CHALLENGE), CHALLENGE_LASTS)


def _text(node: Node | None) -> str:
    if node is None or not node.data or len(node.data) > 1024:
        raise TransportError("WhatsApp gave no reference for the passkey")
    return node.data.decode(errors="replace")


def _plain(code: str) -> bytes:
    return "".join(code.upper().replace("-", "").split()).encode()


def _intruder(*, requested: bool) -> Blocked:
    look = "Look under Linked devices on the phone, and remove what you do not know. " if requested else ""
    nothing = "" if requested else ", and nothing was linked"
    return Blocked(
        f"the phone shows another verification code: somebody else was in between{nothing}",
        action=f"{look}Use another network or proxy, then connect the bot again.",
        condition=Condition.CODES_DIFFER,
    )
