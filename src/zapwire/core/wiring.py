"""The core, put together: what the API and the program itself hold on to."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from zapwire.core.access.tokens import Tokens
from zapwire.core.bots.proxies import Proxies
from zapwire.core.bots.registry import BotRegistry
from zapwire.core.bots.transfer import BotTransfer
from zapwire.core.events.subscriptions import Subscriptions
from zapwire.core.media.fetching import Fetcher
from zapwire.core.media.folder import MediaFolder
from zapwire.core.media.housekeeping import keep_media
from zapwire.core.media.library import MediaLibrary
from zapwire.core.media.link_previews import LinkPreviews
from zapwire.core.messages.history import MessageHistory
from zapwire.core.messages.outbox import Outbox
from zapwire.core.monitoring.counters import Counters
from zapwire.core.monitoring.snapshot import StatsCollector
from zapwire.core.network.dns import Resolver
from zapwire.core.network.ssrf_guard import MEDIA_URLS, PROXIES, Network, SsrfGuard
from zapwire.core.person_merges import PersonMerges
from zapwire.core.retention import keep_house
from zapwire.core.tuning import Tuning
from zapwire.core.webhooks.delivery_log import DeliveryLog
from zapwire.core.webhooks.dispatcher import Dispatcher
from zapwire.core.webhooks.endpoints import Endpoints
from zapwire.core.webhooks.inline_replies import InlineReplies
from zapwire.model.pairing import PairingOptions
from zapwire.runtime.process import LoopLag
from zapwire.runtime.tasks import spawn, supervise
from zapwire.store.ports import Store
from zapwire.transport.registry import TransportRegistry


@dataclass(frozen=True, slots=True)
class Core:
    """Everything that can be asked of the daemon."""

    database: Store
    bots: BotRegistry
    outbox: Outbox
    subscriptions: Subscriptions
    endpoints: Endpoints
    delivery_log: DeliveryLog
    tokens: Tokens
    stats: StatsCollector
    transfer: BotTransfer
    media: MediaLibrary
    link_previews: LinkPreviews
    history: MessageHistory

    async def check(self) -> None:
        """Is the daemon able to work? Raises `StoreError` when the database cannot be written."""
        await self.database.write(lambda unit: unit.beat())


@asynccontextmanager
async def open_core(
    database: Store,
    transports: TransportRegistry,
    *,
    limits: Tuning | None = None,
    chance: random.Random | None = None,
    webhook_networks: Iterable[Network] = (),
    proxy_networks: Iterable[Network] = (),
    default_country: str | None = None,
    pairing_options: PairingOptions | None = None,
    names: Resolver | None = None,
    media_folder: Path | None = None,
    media_networks: Iterable[Network] = (),
) -> AsyncIterator[Core]:
    """Start the core on an open database: the bots, then the deliveries, whose receivers may answer with messages.

    At the end the bots stop first. *webhook_networks* and *proxy_networks* are not of the Internet, but webhooks and
    proxies may be there all the same. *default_country* and *pairing_options* are for bots without any of their own.
    Files of messages lie in *media_folder*, and may be fetched from *media_networks* too; without a folder they go with
    this process. *limits*, *chance* and *names* are for tests.
    """
    bounds = limits or Tuning()
    async with AsyncExitStack() as stack:
        cleaning = spawn(supervise("housekeeping", partial(keep_house, database, bounds)), "housekeeping")
        stack.push_async_callback(_end, cleaning)
        names = names or Resolver()
        await (merges := PersonMerges()).load(database)
        folder = media_folder or Path(stack.enter_context(TemporaryDirectory()))
        fetcher = Fetcher(SsrfGuard(media_networks, setting=MEDIA_URLS, names=names), names)
        outbox = Outbox(database, bounds, default_country, merges)
        library = MediaLibrary(database, MediaFolder(folder), fetcher, outbox.transport_of, bounds)
        outbox.upload = library.upload
        library.folder.prepare()
        keeping = spawn(supervise("media", partial(keep_media, database, library.folder, bounds)), "media")
        stack.push_async_callback(_end, keeping)
        guard = SsrfGuard(webhook_networks, names=names)
        proxies = Proxies(transports, SsrfGuard(proxy_networks, setting=PROXIES, names=names))
        dispatcher = await stack.enter_async_context(
            Dispatcher(
                database,
                InlineReplies(outbox.submit, outbox.read, bounds.store_again),
                bounds,
                guard=guard,
                chance=chance,
                resolver=names,
                merges=merges,
            )
        )
        counters = await stack.enter_async_context(
            Counters(subscriptions := Subscriptions(database))
        )  # before anything is emitted
        lag = await stack.enter_async_context(LoopLag())
        registry = await stack.enter_async_context(
            BotRegistry(database, transports, outbox, bounds, chance, proxies=proxies, pairing_options=pairing_options)
        )
        await dispatcher.start()
        yield Core(
            database=database,
            bots=registry,
            outbox=outbox,
            subscriptions=subscriptions,
            endpoints=Endpoints(database, dispatcher.changed, guard.check),
            delivery_log=DeliveryLog(database, dispatcher, bounds),
            tokens=Tokens(database),
            transfer=BotTransfer(registry, transports, proxies),
            media=library,
            link_previews=LinkPreviews(fetcher, library.tools),
            history=MessageHistory(database),
            stats=StatsCollector(
                database=database,
                registry=registry,
                dispatcher=dispatcher,
                transports=transports,
                counters=counters,
                lag=lag,
            ),
        )


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])
