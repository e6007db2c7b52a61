"""The calls of version 1, as a table."""

from __future__ import annotations

from zapwire.api.http.routing import Access, Route
from zapwire.api.streaming import sse
from zapwire.api.v1 import bots, deliveries, events, health, media, messages, pacing, pairing, stats, transfer, webhooks
from zapwire.api.v1.schemas import stats as figures
from zapwire.api.v1.schemas import webhooks as hooks
from zapwire.api.v1.schemas.bots import Bot, BotList, CreateBot, ExportBot, History, ImportBot, UpdateBot
from zapwire.api.v1.schemas.health import Live, Ready
from zapwire.api.v1.schemas.journal import EventPage
from zapwire.api.v1.schemas.media import Media
from zapwire.api.v1.schemas.messages import Forward, MessageList, OutgoingMessage, RecipientList, SendMessage
from zapwire.api.v1.schemas.pacing import ChangePacing, Pacing
from zapwire.api.v1.schemas.pairing import (
    AnswerPasskey,
    ConfirmPasskey,
    PairByCode,
    PairingCode,
    Passkey,
    Qr,
)
from zapwire.api.v1.schemas.sending import Reschedule

_BOT = "/v1/bots/{bot}"
_HOOK = "/v1/webhooks/{webhook}"

ROUTES: tuple[Route, ...] = (
    Route(
        "POST", "/v1/bots", bots.create, "Create a bot", 201,
        body=CreateBot, answer=Bot, problems=(409, 501),
    ),
    Route("GET", "/v1/bots", bots.list_all, "List the bots", answer=BotList),
    Route("GET", _BOT, bots.get, "Get a bot", answer=Bot),
    Route(
        "GET", f"{_BOT}/history", bots.history, "List a bot's state history, newest first",
        answer=History, query=(bots.BEFORE, bots.LIMIT),
    ),
    Route(
        "PATCH", _BOT, bots.update, "Change a bot",
        body=UpdateBot, answer=Bot, problems=(409, 429, 501),
    ),
    Route(
        "DELETE", _BOT, bots.delete, "Delete a bot with its auth state and its messages", 204,
        query=(bots.FORCE,), problems=(409,),
    ),
    Route(
        "POST", f"{_BOT}/connect", bots.connect, "Connect a bot; starts pairing if no account is linked", 202,
        answer=Bot, problems=(409, 429),
    ),
    Route(
        "POST", f"{_BOT}/disconnect", bots.disconnect, "Disconnect a bot; it stays linked", 202, answer=Bot,
    ),
    Route(
        "POST", f"{_BOT}/restart", bots.restart, "Restart a bot: disconnect and connect again", 202,
        answer=Bot, problems=(409, 429),
    ),
    Route(
        "POST", f"{_BOT}/logout", bots.logout, "Log a bot out: unlink it from its account", 202,
        answer=Bot, query=(bots.FORCE,), problems=(409, 429),
    ),
    Route(
        "POST", f"{_BOT}/export", transfer.export, "Export a bot: its auth state and settings as one sealed file",
        body=ExportBot, text=transfer.MEDIA, problems=(409, 429),
    ),
    Route(
        "POST", "/v1/bots/import", transfer.bring, "Import a bot from an exported file", 201,
        body=ImportBot, answer=Bot, problems=(409, 429),
    ),
    Route(
        "GET", f"{_BOT}/qr", pairing.show_qr, "Get the QR code to scan; waits until there is one",
        answer=Qr, query=(pairing.WAIT,), problems=(406, 409), media=pairing.IMAGES, tag="pairing",
    ),
    Route(
        "POST", f"{_BOT}/qr/refresh", pairing.refresh_qr, "Restart pairing with new QR codes", 202,
        answer=Bot, problems=(409, 429), tag="pairing",
    ),
    Route(
        "POST", f"{_BOT}/pairing-code", pairing.pairing_code, "Get a pairing code to enter on the phone",
        body=PairByCode, answer=PairingCode, problems=(409, 429, 501, 503), tag="pairing",
    ),
    Route(
        "GET", f"{_BOT}/passkey", pairing.show_passkey, "Get what WhatsApp asks the passkey, or the code to compare",
        answer=Passkey, query=(pairing.PASSKEY_WAIT,), problems=(409, 501), tag="pairing",
    ),
    Route(
        "POST", f"{_BOT}/passkey", pairing.answer_passkey, "Answer with the passkey, as a browser gave it", 202,
        body=AnswerPasskey, answer=Bot, problems=(409, 501, 502, 503), tag="pairing",
    ),
    Route(
        "POST", f"{_BOT}/passkey/confirm", pairing.confirm_passkey, "Say which code the phone shows", 202,
        body=ConfirmPasskey, answer=Bot, problems=(409, 501), tag="pairing",
    ),
    Route(
        "POST", f"{_BOT}/messages", messages.send, "Send a message", 202,
        body=SendMessage, answer=OutgoingMessage, query=(messages.WAIT,),
        headers=(messages.IDEMPOTENCY_KEY,), problems=(409, 410, 429, 501, 502, 507), tag="messages",
    ),
    Route(
        "GET", f"{_BOT}/messages", messages.list_all, "List the messages of both directions, newest first",
        answer=MessageList, tag="messages", query=(
            messages.CHAT, messages.DIRECTION, messages.KINDS, messages.STATES, messages.WORDS, messages.BEFORE,
            messages.AFTER, messages.LIMIT,
        ),
    ),
    Route(
        "GET", f"{_BOT}/messages/{{message}}", messages.get, "Get a message and its status",
        answer=OutgoingMessage, query=(messages.WAIT,), tag="messages",
    ),
    Route(
        "DELETE", f"{_BOT}/messages/{{message}}", messages.cancel, "Cancel a message that is not sent yet",
        answer=OutgoingMessage, problems=(409,), tag="messages",
    ),
    Route(
        "POST", f"{_BOT}/messages/{{message}}/resend", messages.resend,
        "Send a message once more that was not sent, or of which nobody knows whether it was", 202,
        answer=OutgoingMessage, headers=(messages.IDEMPOTENCY_KEY,), problems=(409, 429, 501), tag="messages",
    ),
    Route(
        "POST", f"{_BOT}/messages/{{message}}/forward", messages.forward, "Forward a message to another chat", 202,
        body=Forward, answer=OutgoingMessage, headers=(messages.IDEMPOTENCY_KEY,), problems=(409, 429, 501),
        tag="messages",
    ),
    Route(
        "GET", f"{_BOT}/messages/{{message}}/recipients", messages.recipients,
        "List how far a message got with each recipient in a group", answer=RecipientList, tag="messages",
    ),
    Route(
        "PATCH", f"{_BOT}/messages/{{message}}", messages.reschedule, "Move the moment of a scheduled message",
        body=Reschedule, answer=OutgoingMessage, problems=(409,), tag="messages",
    ),
    Route(
        "GET", f"{_BOT}/pacing", pacing.show, "Show how fast a bot may write now, and how that is set",
        answer=Pacing, tag="messages",
    ),
    Route(
        "PATCH", f"{_BOT}/pacing", pacing.change, "Change how fast a bot may write; `{}` takes back what was set",
        body=ChangePacing, answer=Pacing, tag="messages",
    ),
    Route(
        "POST", f"{_BOT}/media", media.upload, "Upload a file for messages", 201,
        file=True, answer=Media, query=(media.KIND, media.FILE_NAME), problems=(507,), tag="media",
    ),
    Route("GET", f"{_BOT}/media/{{media}}", media.show, "Say what is known of a file", answer=Media, tag="media"),
    Route(
        "GET", "/v1/media/{media}", media.download, "Download a file; from WhatsApp, if it is not here yet",
        text=media.CONTENT, problems=(206, 410, 416, 501, 502, 507), tag="media",
    ),
    Route(
        "GET", "/v1/events", events.events, "Follow the events (WebSocket, Server-Sent Events) or read pages",
        access=Access.STREAM, answer=EventPage, tag="events", media=(sse.CONTENT_TYPE,),
        query=(events.AFTER, events.BOTS, events.TYPES, events.LIMIT, events.WAIT),
        headers=(events.LAST_EVENT_ID,), problems=(503,),
    ),
    Route(
        "POST", "/v1/webhooks", webhooks.create, "Add a webhook; its secret is shown only now", 201,
        body=hooks.CreateWebhook, answer=hooks.CreatedWebhook, problems=(409,), tag="webhooks",
    ),
    Route("GET", "/v1/webhooks", webhooks.list_all, "List the webhooks", answer=hooks.WebhookList, tag="webhooks"),
    Route("GET", _HOOK, webhooks.get, "Get a webhook", answer=hooks.Webhook, tag="webhooks"),
    Route(
        "PATCH", _HOOK, webhooks.update, "Change a webhook",
        body=hooks.UpdateWebhook, answer=hooks.Webhook, tag="webhooks",
    ),
    Route("DELETE", _HOOK, webhooks.delete, "Delete a webhook", 204, tag="webhooks"),
    Route(
        "POST", f"{_HOOK}/pause", webhooks.pause, "Pause deliveries to a webhook",
        answer=hooks.Webhook, tag="webhooks",
    ),
    Route(
        "POST", f"{_HOOK}/resume", webhooks.resume, "Resume deliveries to a webhook",
        answer=hooks.Webhook, tag="webhooks",
    ),
    Route(
        "POST", f"{_HOOK}/rotate-secret", webhooks.rotate, "Rotate a webhook's secret; both sign during the grace time",
        body=hooks.RotateSecret, answer=hooks.CreatedWebhook, tag="webhooks",
    ),
    Route(
        "POST", f"{_HOOK}/test", deliveries.test, "Send a test event to a webhook",
        answer=hooks.WebhookTest, tag="webhooks",
    ),
    Route(
        "POST", f"{_HOOK}/replay", deliveries.replay, "Replay events to a webhook, with the same ids", 202,
        body=hooks.Replay, answer=hooks.Replayed, problems=(409,), tag="webhooks",
    ),
    Route(
        "GET", f"{_HOOK}/deliveries", deliveries.list_all, "List a webhook's deliveries, newest first",
        answer=hooks.DeliveryPage, tag="webhooks",
        query=(deliveries.STATE, deliveries.EVENT, deliveries.CHAT, deliveries.AFTER, deliveries.LIMIT),
    ),
    Route(
        "GET", f"{_HOOK}/deliveries/{{event}}", deliveries.get, "Get a delivery with its event",
        answer=hooks.DeliveryWithEvent, tag="webhooks",
    ),
    Route(
        "GET", "/v1/stats", stats.stats, "Get the daemon's metrics, in total and for each bot",
        answer=figures.Stats, query=(stats.BOTS,), tag="health",
    ),
    Route(
        "GET", "/livez", health.live, "Liveness: is the process running",
        access=Access.PUBLIC, answer=Live, tag="health",
    ),
    Route(
        "GET", "/readyz", health.ready, "Readiness: can the daemon do its work", access=Access.PUBLIC,
        answer=Ready, problems=(503,), tag="health",
    ),
)  # fmt: skip
