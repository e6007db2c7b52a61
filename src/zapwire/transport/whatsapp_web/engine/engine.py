"""What all bots of the process share of the engine: the library, the gate, the call threads, the callbacks."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Final

from zapwire.model.errors import SettingsError
from zapwire.neonize_protos import NEONIZE_FOLDER
from zapwire.runtime.file_threads import in_file_thread
from zapwire.transport.whatsapp_web.engine.call_pool import HANGS, CallPool, in_thread, tell_loop
from zapwire.transport.whatsapp_web.engine.callbacks import CallbackPool
from zapwire.transport.whatsapp_web.engine.gate import Gate
from zapwire.transport.whatsapp_web.engine.library import Library, WrongVersion
from zapwire.transport.whatsapp_web.engine.private import builds, client_flags
from zapwire.transport.whatsapp_web.engine.private.noise_root import NoiseRootError

log = logging.getLogger(__name__)

SEND_THREADS: Final = 32
QUESTION_THREADS: Final = 8
SENDS_PER_BOT: Final = 4
"""The engine sends one message of a bot after the other; the others prepare meanwhile."""
QUESTIONS_PER_BOT: Final = 2
"""Of a kind: while one is not answered another one may be, and tells that the first was only lost."""
BEGIN_WITHIN: Final = 10.0
"""Seconds that a call may wait for a thread, the gate, or the calls of the same bot before it."""
STUCK: Final = 180.0
"""Seconds; the longest wait of the engine's own is 75."""


class Engine:
    """The engine of this process; made once, its library stays loaded."""

    def __init__(self, library: Library, flags: Collection[str] = (), *, sees_stanzas: bool = False) -> None:
        """*flags* are switched on for each client, where the build is known (`client_flags`). With *sees_stanzas* the
        engine logs every stanza, which only says some things that way.
        """
        self.log_level = "DEBUG" if sees_stanzas else "INFO"
        self.library = library
        self._flags = flags
        self.gate = Gate(library.table.size if library.table is not None else None)
        self.sends = CallPool("send", SEND_THREADS, SENDS_PER_BOT, self.gate.call, patience=HANGS)
        """For calls that send messages."""
        self.questions = CallPool("question", QUESTION_THREADS, QUESTIONS_PER_BOT, self.gate.call)
        """For all other calls: however many sends hang, a bot can be asked, and asks WhatsApp."""
        self.callbacks = CallbackPool()
        self._question: asyncio.Future[None] | None = None
        self._warned = False

    @classmethod
    async def load(
        cls,
        noise_root: bytes | None,
        flags: Collection[str] = (),
        known: Iterable[builds.Build] = builds.KNOWN,
        *,
        sees_stanzas: bool = False,
    ) -> Engine:
        """Load the library, some 0.2 s in a thread. Raises `SettingsError` when it cannot be used here."""
        try:
            library = await in_file_thread(Library, library_path(), noise_root, known)
        except (OSError, NoiseRootError, WrongVersion) as error:
            message = f"the WhatsApp engine cannot be used: {error}"
            raise SettingsError(message) from error
        if library.table is None:
            log.warning(
                "this build of the engine is not known inside: a message being decrypted in a crash may be lost, and "
                "recipients who ask for a message again after a restart do not get it"
            )
        return cls(library, flags, sees_stanzas=sees_stanzas)

    def started(self, bot: bytes) -> None:
        """A client runs, as its first callback says: it may be called, and gets its flags. On the engine's thread."""
        self.library.started(bot)
        if self.library.table is None:
            return
        try:
            client_flags.switch_on(self.library.table, bot, self._flags)
        except client_flags.NotAsExpected as error:
            if not self._warned:
                self._warned = True
                log.warning("the engine's memory is not as it should be, so nothing is switched on in it: %s", error)

    @property
    def leaves_history(self) -> bool:
        """Does history that a phone offers stay at WhatsApp?"""
        return builds.LEAVE_HISTORY in self._flags and self.library.table is not None and not self._warned

    async def answers(self) -> None:
        """Return once Go has answered, whatever the call threads are busy with. Only one question is ever under way."""
        if self._question is None or self._question.done():
            loop = asyncio.get_running_loop()
            question = self._question = loop.create_future()

            def answered() -> None:
                if not question.done():
                    question.set_result(None)

            def ask() -> None:
                self.library.version()
                tell_loop(loop, answered)

            in_thread("engine-answers", ask)
        await asyncio.shield(self._question)

    def stuck(self) -> int:
        """Calls that have not returned for longer than any may take (docs/engine.md's E9)."""
        return self.sends.running_for(STUCK) + self.questions.running_for(STUCK)

    def close(self) -> None:
        """Let the call threads go."""
        self.sends.close()
        self.questions.close()


def library_path() -> Path:
    """The engine's library for this machine, as the neonize wheel carries it. Raises `SettingsError`."""
    found = [path for pattern in ("*.so", "*.dylib") for path in NEONIZE_FOLDER.glob("neonize-" + pattern)]
    if len(found) != 1:
        message = (
            f"found {len(found)} engine libraries in {NEONIZE_FOLDER} instead of one; install neonize from its wheel"
        )
        raise SettingsError(message)
    return found[0]
