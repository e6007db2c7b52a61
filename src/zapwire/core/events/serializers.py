"""Values as JSON, the same in API answers, journal entries and webhook bodies."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from zapwire.model import timestamps
from zapwire.model.bots import NO_BOT, BotId, BotView, Health, HistoryEntry, Restriction
from zapwire.model.content.interactive import PollVoteContent
from zapwire.model.content.kinds import AnyContent
from zapwire.model.content.text import TextContent
from zapwire.model.deliveries import Delivery
from zapwire.model.events import Event, EventType, Payload
from zapwire.model.media import MediaFile
from zapwire.model.messages import ListedMessage, Message, OutgoingView, Party, PollCount, RecipientState, Undecryptable
from zapwire.model.pacing import PacingStatus
from zapwire.model.pairing import PairingStage, PasskeyChallenge, QrCode, VerificationCode
from zapwire.model.webhooks import Endpoint
from zapwire.runtime.json_encoder import encode_bytes


def timestamp(moment: datetime) -> str:
    """RFC 3339 in UTC with milliseconds: `2026-01-31T12:00:00.000Z`."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def timestamp_or_none(moment: datetime | None) -> str | None:
    """`timestamp` of a moment that may not be."""
    return None if moment is None else timestamp(moment)


def event_bytes(event: Event) -> bytes:
    """An event as it is delivered: a JSON object in UTF-8.

    Its data are spliced in as the journal keeps them, encoded once whatever the number of those who get it.
    """
    head = encode_bytes(
        {
            "id": event.id,
            "seq": event.seq,
            "type": event.type.value,
            "timestamp": timestamp(event.timestamp),
            "bot": event.bot or None,
        }
    )
    return b'%b,"data":%b}' % (head[:-1], event.payload.encoded)


def read_event(text: str) -> Event:
    """The reverse of `event_bytes`. Raises `ValueError`, `KeyError` or `TypeError` for what is no event."""
    said = json.loads(text)
    moment, payload = datetime.fromisoformat(said["timestamp"]), Payload(encode_bytes(said["data"]), said["data"])
    return Event(said["seq"], said["id"], EventType(said["type"]), moment, BotId(said["bot"] or NO_BOT), payload)


def bot_json(bot: BotView) -> dict[str, Any]:
    """A bot; also the data of `bot.state`."""
    return {
        "id": bot.id,
        "name": bot.name,
        "transport": bot.transport.value,
        "autostart": bot.autostart,
        "state": bot.state.value,
        "code": bot.code,
        "reason": bot.reason,
        "state_since": timestamp(bot.since),
        "action": bot.action,
        "next_attempt_at": timestamp_or_none(bot.next_attempt_at),
        "phone": bot.identity.phone,
        "lid": bot.identity.lid,
        "push_name": bot.identity.push_name,
        "created_at": timestamp_or_none(bot.created_at),
        "proxy": bot.proxy,
        "default_country": bot.default_country,
        "pairing_options": asdict(bot.pairing_options),
        "ignore": None if bot.ignore is None else list(bot.ignore),
        "health": None if bot.health is None else health_json(bot.health),
        "restriction": None if bot.restriction is None else restriction_json(bot.restriction),
        "actions": list(bot.actions),
        "pairing": None if bot.pairing is None else stage_json(bot.pairing),
    }


def health_json(health: Health) -> dict[str, Any]:
    """Does WhatsApp answer on a bot's connection."""
    return {
        "healthy": health.healthy,
        "last_seen_at": timestamp_or_none(health.last_seen),
        "probe_failures": health.probe_failures,
        "last_answer_at": timestamp_or_none(health.last_answer),
        "round_trip": health.round_trip,
    }


def restriction_json(restriction: Restriction) -> dict[str, Any]:
    """A limit that WhatsApp put on an account; `retry_after` in seconds from now."""
    until = restriction.until
    return {
        "kind": restriction.kind,
        "reason": restriction.reason,
        "since": timestamp(restriction.since),
        "until": timestamp_or_none(until),
        "retry_after": None if until is None else max(0, round((until - timestamps.now()).total_seconds())),
        "error": restriction.error,
    }


def entry_json(entry: HistoryEntry) -> dict[str, Any]:
    """One entry of a bot's history."""
    return {
        "id": entry.id,
        "state": entry.state,
        "code": entry.code,
        "reason": entry.reason,
        "action": entry.action,
        "since": timestamp(entry.since),
        "repeated": entry.repeated,
        "last_at": timestamp(entry.last_at),
    }


def qr_json(code: QrCode) -> dict[str, Any]:
    """A QR code without its image; the data of `bot.qr`."""
    return {"code": code.code, "expires_at": timestamp(code.expires_at), "attempt": code.attempt}


def stage_json(stage: PairingStage) -> dict[str, Any]:
    """How far a pairing is; also the data of `bot.passkey`."""
    return {"step": stage.step.value, "expires_at": timestamp(stage.expires_at)}


def passkey_json(found: PasskeyChallenge | VerificationCode) -> dict[str, Any]:
    """What a pairing with a passkey asks, or the code that it shows; secret, so for answers only."""
    expires_at = timestamp(found.expires_at)
    if isinstance(found, PasskeyChallenge):
        return {"question": dict(found.question), "origin": found.origin, "expires_at": expires_at}
    return {"code": found.code, "needed": found.needed, "expires_at": expires_at}


def party_json(party: Party) -> dict[str, Any]:
    """A chat or a person."""
    return {"id": party.id, "jid": party.jid, "phone": party.phone, "lid": party.lid}


def media_json(file: MediaFile) -> dict[str, Any]:
    """A file of messages, without its keys."""
    details = file.details
    return {
        "id": file.id,
        "bot": file.bot,
        "state": file.state.value,
        "type": file.remote.domain.value,
        "mime_type": details.mime_type,
        "file_name": details.file_name,
        "size": file.size,
        "sha256": file.remote.sha256.hex(),
        "width": details.width,
        "height": details.height,
        "seconds": details.seconds,
        "pages": details.pages,
        "created_at": timestamp(file.created_at),
    }


def message_json(message: Message) -> dict[str, Any]:
    """A received message; the data of `message.received`."""
    return {
        **listed_json(message),
        "origin": message.origin.value,
        **({"poll": poll_json(message.poll)} if message.type == PollVoteContent.kind else {}),
    }


def listed_json(message: Message | ListedMessage) -> dict[str, Any]:
    """A received message in a list: as it was told, without what is not kept."""
    return {
        "id": message.id,
        "chat": party_json(message.chat),
        "sender": party_json(message.sender),
        "from_me": message.from_me,
        "timestamp": timestamp(message.timestamp),
        "type": message.type,
        **_content(message.type, message.content),
        "push_name": message.push_name,
    }


def poll_json(poll: PollCount | None) -> dict[str, Any] | None:
    """How a poll stands."""
    if poll is None:
        return None
    return {
        "message_id": poll.message_id,
        "question": poll.question,
        "options": [{"title": title, "votes": votes} for title, votes in poll.options],
        "voters": poll.voters,
    }


def undecryptable_json(message: Undecryptable) -> dict[str, Any]:
    """A message that cannot be read; the data of `message.undecryptable`."""
    return {
        "id": message.id,
        "chat": None if message.chat is None else party_json(message.chat),
        "sender": None if message.sender is None else party_json(message.sender),
        "from_me": message.from_me,
        "timestamp": timestamp_or_none(message.timestamp),
        "reason": message.reason.value,
        "kind": message.kind,
        "hidden": message.hidden,
        "push_name": message.push_name,
        "origin": message.origin.value,
    }


def outgoing_json(message: OutgoingView) -> dict[str, Any]:
    """An outgoing message; also the data of `message.status`."""
    return {
        "id": message.id,
        "bot": message.bot,
        "to": party_json(message.to),
        "type": message.type,
        **_content(message.type, message.content),
        "state": message.state.value,
        "reason": message.reason,
        "code": message.code if message.limit is None else message.limit.kind,
        "retry_at": timestamp_or_none(message.retry_at),
        "limit": None if message.limit is None else restriction_json(message.limit),
        "whatsapp_id": message.whatsapp_id,
        "client_ref": message.notes.client_ref,
        "metadata": message.notes.metadata,
        "send_at": timestamp_or_none(message.send_at),
        "sent_at": timestamp_or_none(message.sent_at),
        "resend_of": message.resend_of,
        "created_at": timestamp(message.created_at),
        "updated_at": timestamp(message.updated_at),
    }


def pacing_json(status: PacingStatus) -> dict[str, Any]:
    """What a bot may send now, and how that is set."""
    return {
        **asdict(status.options),
        "linked_at": timestamp_or_none(status.linked_at),
        "new_chats_today": status.new_chats_today,
        "new_chats_limit": status.new_chats_limit,
        "quiet_until": timestamp_or_none(status.quiet_until),
        "next_at": timestamp_or_none(status.next_at),
    }


def recipient_json(one: RecipientState) -> dict[str, Any]:
    """How far a message got with one of several recipients."""
    return {"recipient": party_json(one.recipient), "state": one.state.value, "at": timestamp(one.at)}


def _content(kind: str, content: AnyContent) -> dict[str, Any]:
    """The content as it is, and of a text the text itself beside it, as that is all most bots read."""
    fields = content.as_json()
    return {"text": fields.get("text"), "content": fields} if kind == TextContent.kind else {"content": fields}


def endpoint_json(endpoint: Endpoint) -> dict[str, Any]:
    """A webhook endpoint, without its secrets."""
    return {
        "id": endpoint.id,
        "url": endpoint.url,
        "description": endpoint.description,
        "events": list(endpoint.events),
        "bots": None if endpoint.bots is None else list(endpoint.bots),
        "header_names": list(endpoint.headers),
        "format": endpoint.format,
        "concurrency": endpoint.concurrency,
        "public_key": endpoint.public_key,
        "reply": endpoint.reply,
        "enabled": endpoint.enabled,
        "disabled_reason": endpoint.disabled_reason,
        "paused": endpoint.paused,
        "timeout": endpoint.timeout,
        "client_error_attempts": endpoint.client_error_attempts,
        "failing_since": timestamp_or_none(endpoint.failing_since),
        "unreachable_since": timestamp_or_none(endpoint.unreachable_since),
        "next_attempt_at": timestamp_or_none(endpoint.next_attempt_at),
        "last_error": endpoint.last_error,
        "created_at": timestamp(endpoint.created_at),
    }


def disabled_json(endpoint: Endpoint) -> dict[str, Any]:
    """The data of `webhook.disabled`; without the address, which may hold a secret."""
    return {
        "webhook": endpoint.id,
        "description": endpoint.description,
        "reason": endpoint.disabled_reason,
        "failing_since": timestamp_or_none(endpoint.failing_since),
        "last_error": endpoint.last_error,
    }


def delivery_json(delivery: Delivery) -> dict[str, Any]:
    """One event's way to one webhook."""
    return {
        "event": delivery.event,
        "seq": delivery.seq,
        "type": delivery.type,
        "bot": delivery.bot or None,
        "chat": delivery.chat,
        "timestamp": timestamp(delivery.happened),
        "state": delivery.state.value,
        "next_attempt_at": timestamp_or_none(delivery.due),
        "attempts": [
            {
                "at": timestamp(one.at),
                "status": one.status,
                "duration_ms": one.duration_ms,
                "error": one.error,
            }
            for one in delivery.attempts
        ],
        "response": delivery.answer,
        "reply": delivery.reply,
    }
