"""Who comes first when the daemon starts."""

from __future__ import annotations

from pathlib import Path

from tests.core.scripted import ScriptedTransport, ScriptedTransports, eventually, registered, world
from tests.harness.keys import KEYS
from zapwire.core.wiring import open_core
from zapwire.model.bots import BotId
from zapwire.model.content.text import TextContent
from zapwire.store.sqlite.database import Database
from zapwire.transport.protocol import Emit


class Noting(ScriptedTransports):
    """Notes in which order the transports are run."""

    def __init__(self) -> None:
        super().__init__(linked=True)
        self.order: list[str] = []

    def __call__(self, bot: BotId) -> ScriptedTransport:
        transport, run = super().__call__(bot), ScriptedTransport.run

        async def noted(emit: Emit) -> None:
            self.order.append(bot)
            await run(transport, emit)

        transport.run = noted  # type: ignore[method-assign]
        return transport


async def test_bots_with_waiting_messages_start_first_and_are_listed_as_before(tmp_path: Path) -> None:
    path, names = tmp_path / "zapwire.db", [f"bot-{number}" for number in range(6)]
    async with world(path, linked=True) as before:
        for name in names:
            await before.core.bots.create(name, autostart=False)
        for name in (names[4], names[2]):
            await before.core.outbox.submit(name, "+4915123456789", TextContent(text="waits"))
        for name in names:
            await before.core.bots.get(name).change(autostart=True)
    transports = Noting()
    async with Database.open(path, KEYS) as database, open_core(database, registered(transports)) as core:
        await eventually(lambda: len(transports.order) == len(names))
        assert transports.order == ["bot-2", "bot-4", "bot-0", "bot-1", "bot-3", "bot-5"]
        assert [bot.id for bot in await core.bots.list()] == names
