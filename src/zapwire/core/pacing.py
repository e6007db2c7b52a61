"""When a message may go to a chat that is writing to us at this very moment.

Sending to a peer while a message from that peer is being decrypted can roll the Signal session back in the engine: the
next message reuses a key and the recipient drops it in silence (engine hazard E12). Some 50 ms between the two avoid
it, as nothing of the received message is under way by then. So: a message to a chat waits until a little after the
last one from it, and while the chat is lively messages to it keep the same distance from each other. A chat that has
been quiet is sent to at once, and no chat waits longer than a bound, even if it never pauses.
"""

from __future__ import annotations

from collections import OrderedDict

from zapwire.core.limits import Limits
from zapwire.jid import PHONE_SERVER
from zapwire.model import Party


class Pacing:
    """The lively chats of one bot; times are the event loop's."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._heard: OrderedDict[str, float] = OrderedDict()
        self._spoken: dict[str, float] = {}

    def heard(self, chat: Party, now: float) -> None:
        """Note a message from *chat*, under each address by which it may be answered."""
        for name in addresses_of(chat):
            self._heard[name] = now
            self._heard.move_to_end(name)
        while self._heard and now - next(iter(self._heard.values())) > self._limits.lively_chat:
            name, _ = self._heard.popitem(last=False)
            self._spoken.pop(name, None)

    def spoken(self, chat: str, now: float) -> None:
        """Note that a message to *chat* was sent."""
        if chat in self._heard:
            self._spoken[chat] = now

    def ready(self, chat: str, since: float, now: float) -> float:
        """When a message that waits since *since* may go to *chat*."""
        heard = self._heard.get(chat)
        if heard is None or now - heard > self._limits.lively_chat:
            return since
        quiet = max(heard, self._spoken.get(chat, heard)) + self._limits.reply_after
        return min(quiet, since + self._limits.reply_at_most)


def addresses_of(chat: Party) -> set[str]:
    """The JIDs under which *chat* may be sent to."""
    names = {chat.jid}
    if chat.lid is not None:
        names.add(chat.lid)
    if chat.phone is not None:
        names.add(f"{chat.phone.removeprefix('+')}@{PHONE_SERVER}")
    return names
