"""All calls, as a table."""

from __future__ import annotations

from zapwire.api import (
    bots,
    deliveries,
    events,
    figures,
    health,
    messages,
    metrics,
    moving,
    pages,
    pairing,
    schemas,
    sse,
    stats,
    virtual_phones,
    webhooks,
)
from zapwire.api import webhook_schemas as hooks
from zapwire.api.openapi import show as show_openapi
from zapwire.api.routing import Access, Route

_BOT = "/v1/bots/{bot}"
_HOOK = "/v1/webhooks/{webhook}"

API: tuple[Route, ...] = (
    Route(
        "POST", "/v1/bots", bots.create, "Create a bot", 201,
        body=schemas.CreateBot, answer=schemas.Bot, problems=(409, 501),
    ),
    Route("GET", "/v1/bots", bots.list_all, "List the bots", answer=schemas.BotList),
    Route("GET", _BOT, bots.get, "Get a bot", answer=schemas.Bot),
    Route(
        "GET", f"{_BOT}/history", bots.history, "List what a bot was doing, newest first",
        answer=schemas.History, query=(bots.BEFORE, bots.LIMIT),
    ),
    Route(
        "PATCH", _BOT, bots.update, "Change a bot",
        body=schemas.UpdateBot, answer=schemas.Bot, problems=(409, 429, 501),
    ),
    Route(
        "DELETE", _BOT, bots.delete, "Delete a bot with its auth state and its messages", 204,
        query=(bots.FORCE,), problems=(409,),
    ),
    Route(
        "POST", f"{_BOT}/connect", bots.connect, "Connect a bot; starts a pairing when it is not linked", 202,
        answer=schemas.Bot, problems=(409, 429),
    ),
    Route(
        "POST", f"{_BOT}/disconnect", bots.disconnect, "Disconnect a bot; it stays linked", 202, answer=schemas.Bot,
    ),
    Route(
        "POST", f"{_BOT}/restart", bots.restart, "Restart a bot: disconnect and connect again", 202,
        answer=schemas.Bot, problems=(409, 429),
    ),
    Route(
        "POST", f"{_BOT}/logout", bots.logout, "Log a bot out: unlink it from its account", 202,
        answer=schemas.Bot, query=(bots.FORCE,), problems=(409, 429),
    ),
    Route(
        "POST", f"{_BOT}/export", moving.export, "Export a bot: its auth state and settings as one sealed file",
        body=schemas.ExportBot, text=moving.MEDIA, problems=(409, 429),
    ),
    Route(
        "POST", "/v1/bots/import", moving.bring, "Import a bot from such a file", 201,
        body=schemas.ImportBot, answer=schemas.Bot, problems=(409, 429),
    ),
    Route(
        "GET", f"{_BOT}/qr", pairing.show_qr, "Get the QR code to scan; waits until there is one",
        answer=schemas.Qr, query=(pairing.WAIT,), problems=(406, 409), media=pairing.IMAGES, tag="pairing",
    ),
    Route(
        "POST", f"{_BOT}/qr/refresh", pairing.refresh_qr, "Start over with a new set of QR codes", 202,
        answer=schemas.Bot, problems=(409, 429), tag="pairing",
    ),
    Route(
        "POST", f"{_BOT}/pairing-code", pairing.pairing_code, "Get a code to type on the phone",
        body=schemas.PairByCode, answer=schemas.PairingCode, problems=(409, 429, 501, 503), tag="pairing",
    ),
    Route(
        "POST", f"{_BOT}/messages", messages.send, "Send a message", 202,
        body=schemas.SendMessage, answer=schemas.OutgoingMessage, query=(messages.WAIT,),
        headers=(messages.IDEMPOTENCY_KEY,), problems=(409, 429, 501), tag="messages",
    ),
    Route(
        "GET", f"{_BOT}/messages/{{message}}", messages.get, "Get a message: how far it got",
        answer=schemas.OutgoingMessage, query=(messages.WAIT,), tag="messages",
    ),
    Route(
        "GET", "/v1/events", events.events, "Follow the events (WebSocket, Server-Sent Events) or read pages",
        access=Access.STREAM, answer=schemas.EventPage, tag="events", media=(sse.CONTENT_TYPE,),
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
        "POST", f"{_HOOK}/pause", webhooks.pause, "Hold its deliveries back",
        answer=hooks.Webhook, tag="webhooks",
    ),
    Route(
        "POST", f"{_HOOK}/resume", webhooks.resume, "Go on with what was held back",
        answer=hooks.Webhook, tag="webhooks",
    ),
    Route(
        "POST", f"{_HOOK}/rotate-secret", webhooks.rotate, "Replace its secret; for a while both sign",
        body=hooks.RotateSecret, answer=hooks.CreatedWebhook, tag="webhooks",
    ),
    Route(
        "POST", f"{_HOOK}/test", deliveries.test, "Send it a test event now",
        answer=hooks.WebhookTest, tag="webhooks",
    ),
    Route(
        "POST", f"{_HOOK}/replay", deliveries.replay, "Deliver again, with the same ids", 202,
        body=hooks.Replay, answer=hooks.Replayed, problems=(409,), tag="webhooks",
    ),
    Route(
        "GET", f"{_HOOK}/deliveries", deliveries.list_all, "What it was sent, and what waits for it",
        answer=hooks.DeliveryPage, tag="webhooks",
        query=(deliveries.STATE, deliveries.EVENT, deliveries.CHAT, deliveries.AFTER, deliveries.LIMIT),
    ),
    Route(
        "GET", f"{_HOOK}/deliveries/{{event}}", deliveries.get, "Get a delivery with its event",
        answer=hooks.DeliveryWithEvent, tag="webhooks",
    ),
    Route(
        "GET", "/v1/stats", stats.stats, "Get the daemon's figures, in total and for each bot",
        answer=figures.Stats, query=(stats.BOTS,), tag="health",
    ),
    Route("GET", "/metrics", metrics.metrics, "The same for Prometheus", text="text/plain", tag="health"),
    Route(
        "GET", "/livez", health.live, "Is the process there", access=Access.PUBLIC, answer=schemas.Live, tag="health",
    ),
    Route(
        "GET", "/readyz", health.ready, "Can the daemon do its work", access=Access.PUBLIC,
        answer=schemas.Ready, problems=(503,), tag="health",
    ),
)  # fmt: skip

SANDBOX: tuple[Route, ...] = (
    Route("GET", "/v1/sandbox", virtual_phones.info, "About the sandbox", answer=schemas.SandboxInfo, tag="sandbox"),
    Route(
        "POST", "/v1/sandbox/scan", virtual_phones.scan, "Let a virtual phone scan a bot's QR code",
        body=schemas.Scan, answer=schemas.Scanned, problems=(404, 409, 502), tag="sandbox",
    ),
)  # fmt: skip

PAGES: tuple[Route, ...] = (
    Route("GET", "/", pages.file("index.html"), "The page", access=Access.PUBLIC, documented=False),
    Route("GET", "/docs", pages.file("docs.html"), "The API's documentation", access=Access.PUBLIC, documented=False),
    Route("GET", "/openapi.json", show_openapi, "The OpenAPI document", access=Access.PUBLIC, documented=False),
    *(
        Route("GET", f"/page/{name}", pages.file(name), "A file of the pages", access=Access.PUBLIC, documented=False)
        for name in ("app.js", "api.js", "view.js", "docs.js", "style.css", "icon.svg")
    ),
)
