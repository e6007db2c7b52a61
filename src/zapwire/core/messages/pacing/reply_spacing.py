"""When a message may go to a chat that is writing to us at this very moment.

Sending to a peer while a message from that peer is being decrypted can roll the Signal session back in the engine: the
next message reuses a key and the recipient drops it in silence (engine hazard E12). Some 50 ms between the two avoid
it, as nothing of the received message is under way by then. So: a message to a chat waits until a little after the
last one from it, and while the chat is lively messages to it keep the same distance from each other. A chat that has
been quiet is sent to at once, and no chat waits longer than a bound, even if it never pauses.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Iterable

from zapwire.core.tuning import Tuning
from zapwire.model.jid import PHONE_SERVER
from zapwire.model.messages import Party


class ReplySpacing:
    """The lively chats of one bot, each under all of its names; times are the event loop's."""

    def __init__(self, limits: Tuning) -> None:
        self._limits = limits
        self._heard: OrderedDict[str, float] = OrderedDict()
        self._spoken: dict[str, float] = {}

    def heard(self, names: Iterable[str], now: float) -> None:
        """Note a message from the chat of these names."""
        for name in names:
            self._heard[name] = now
            self._heard.move_to_end(name)
        while self._heard and now - next(iter(self._heard.values())) > self._limits.lively_chat:
            name, _ = self._heard.popitem(last=False)
            self._spoken.pop(name, None)

    def know(self, names: Collection[str]) -> None:
        """These are names of one chat."""
        heard = max((self._heard[name] for name in names if name in self._heard), default=None)
        if heard is None:
            return
        spoken = max((self._spoken[name] for name in names if name in self._spoken), default=None)
        for name in names:
            if name not in self._heard:
                self._heard[name] = heard
            if spoken is not None:
                self._spoken[name] = spoken

    def spoken(self, names: Iterable[str], now: float) -> None:
        """Note that a message to the chat of these names was sent."""
        for name in names:
            if name in self._heard:
                self._spoken[name] = now

    def ready(self, names: Collection[str], since: float, now: float) -> float:
        """When a message that waits since *since* may go to the chat of these names."""
        heard = max((self._heard[name] for name in names if name in self._heard), default=None)
        if heard is None or now - heard > self._limits.lively_chat:
            return since
        spoken = max((self._spoken[name] for name in names if name in self._spoken), default=heard)
        quiet = max(heard, spoken) + self._limits.reply_after
        return min(quiet, since + self._limits.reply_at_most)


def names_of(chat: Party) -> list[str]:
    """The names of *chat*: the JIDs under which it may be sent to, and its id once it has one."""
    names = [chat.jid]
    if chat.id is not None and chat.id != chat.jid:
        names.append(chat.id)
    if chat.lid is not None and chat.lid != chat.jid:
        names.append(chat.lid)
    if chat.phone is not None and (phone := f"{chat.phone.removeprefix('+')}@{PHONE_SERVER}") != chat.jid:
        names.append(phone)
    return names
