"""The core, put together: what the API and the program itself hold on to."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial

from zapwire.core.deliverer import Deliverer
from zapwire.core.deliveries import Deliveries
from zapwire.core.endpoints import Endpoints
from zapwire.core.fleet import Fleet
from zapwire.core.guard import PROXIES, Guard, Network
from zapwire.core.housekeeping import keep_house
from zapwire.core.limits import Limits
from zapwire.core.live import Live
from zapwire.core.merges import Merges
from zapwire.core.moving import Moving
from zapwire.core.names import Names
from zapwire.core.process import LoopLag
from zapwire.core.proxies import Proxies
from zapwire.core.replies import Replies
from zapwire.core.sender import Sender
from zapwire.core.stats import Stats
from zapwire.core.tally import Tally
from zapwire.core.tokens import Tokens
from zapwire.store.db import Database, beat
from zapwire.tasks import spawn, supervise
from zapwire.transport.base import TransportFactory


@dataclass(frozen=True, slots=True)
class Core:
    """Everything that can be asked of the daemon."""

    database: Database
    fleet: Fleet
    sender: Sender
    live: Live
    endpoints: Endpoints
    deliveries: Deliveries
    tokens: Tokens
    stats: Stats
    moving: Moving

    async def check(self) -> None:
        """Is the daemon able to work? Raises `StoreError` when the database cannot be written."""
        await self.database.write(beat)


@asynccontextmanager
async def open_core(
    database: Database,
    transports: TransportFactory,
    *,
    limits: Limits | None = None,
    chance: random.Random | None = None,
    webhook_networks: Iterable[Network] = (),
    proxy_networks: Iterable[Network] = (),
    default_country: str | None = None,
    names: Names | None = None,
) -> AsyncIterator[Core]:
    """Start the core on an open database: the bots, then the deliveries, whose receivers may answer with messages.

    At the end the bots stop first. *webhook_networks* and *proxy_networks* are not of the Internet, but webhooks and
    proxies may be there all the same. *default_country* is for bots without one of their own. *limits*, *chance* and
    *names* are for tests.
    """
    bounds = limits or Limits()
    async with AsyncExitStack() as stack:
        cleaning = spawn(supervise("housekeeping", partial(keep_house, database, bounds)), "housekeeping")
        stack.push_async_callback(_end, cleaning)
        names = names or Names()
        await (merges := Merges()).load(database)
        sender = Sender(database, bounds, default_country, merges)
        guard = Guard(webhook_networks, names=names)
        proxies = Proxies(transports, Guard(proxy_networks, setting=PROXIES, names=names))
        deliverer = await stack.enter_async_context(
            Deliverer(
                database,
                Replies(sender.submit, bounds.store_again),
                bounds,
                guard=guard,
                chance=chance,
                resolver=names,
                merges=merges,
            )
        )
        tally = await stack.enter_async_context(Tally(live := Live(database)))  # before anything is told
        lag = await stack.enter_async_context(LoopLag())
        fleet = await stack.enter_async_context(Fleet(database, transports, sender, bounds, chance, proxies=proxies))
        await deliverer.start()
        yield Core(
            database=database,
            fleet=fleet,
            sender=sender,
            live=live,
            endpoints=Endpoints(database, deliverer.changed, guard.check),
            deliveries=Deliveries(database, deliverer, bounds),
            tokens=Tokens(database),
            moving=Moving(fleet, transports, proxies),
            stats=Stats(
                database=database, fleet=fleet, deliverer=deliverer, transports=transports, tally=tally, lag=lag
            ),
        )


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])
