"""What is kept of messages, as the core sees it."""

from __future__ import annotations

from datetime import date, datetime
from typing import Protocol

from zapwire.model.bots import BotId
from zapwire.model.messages import (
    KnownParty,
    ListedMessage,
    Message,
    MessageId,
    MessageState,
    NewMessage,
    OutgoingView,
    PagePlace,
    Party,
    QueuedMessage,
    RecipientState,
    StoredMessage,
    Undecryptable,
)
from zapwire.model.pacing import PacingOptions


class MessageRepository(Protocol):
    """Messages that came in. WhatsApp delivers at least once; this table makes that exactly once."""

    def insert(self, bot: BotId, message: Message, chat: KnownParty, sender: KnownParty) -> bool:
        """Store *message* of *chat* by *sender*; False when it is already there, under whichever of their addresses."""

    def insert_undecryptable(
        self, bot: BotId, message: Undecryptable, chat: KnownParty | None, sender: KnownParty | None
    ) -> bool:
        """Note that *message* cannot be read; False when that is noted already, or the message itself is there.

        One without an id is not noted, as nobody could know it again.
        """

    def page(self, bot: BotId, chat: KnownParty | None, place: PagePlace, limit: int) -> list[ListedMessage]:
        """Up to *limit* messages that are older than *place*, the newest first; with *chat* only of that one."""

    def find(self, bot: BotId, chat: KnownParty, whatsapp_id: str) -> StoredMessage | None:
        """The message of *chat* with this id; of several the one that was stored under the first address."""

    def came_from(self, bot: BotId, chat: str) -> bool:
        """Has *chat* written to the bot, as far as messages are kept? Whatever is no person counts as known."""


class OutboxRepository(Protocol):
    """Outgoing messages and how far each has got."""

    def account(self, bot: BotId) -> int | None:
        """How many accounts the bot has lost: messages are meant for the one that it had, or awaits, at that number.

        None when there is no such bot.
        """

    def next_account(self, bot: BotId) -> int:
        """The bot has lost its account: returns the number of the next one. What waits for the former is `lost` by
        that.
        """

    def insert(self, message: NewMessage, state: MessageState) -> tuple[int, OutgoingView]:
        """Store a new message; returns its number, and the message as the API shows it."""

    def by_key(self, bot: BotId, key: str) -> tuple[OutgoingView, bytes] | None:
        """The message submitted under an idempotency key, and the digest of its request (empty when
        that is damaged).
        """

    def get(self, bot: str, message: str) -> OutgoingView | None:
        """One message as the API shows it; of a damaged row without what cannot be read."""

    def by_whatsapp_id(self, bot: BotId, whatsapp_id: str) -> OutgoingView | None:
        """The message that WhatsApp knows by this id."""

    def page(self, bot: BotId, chat: KnownParty | None, place: PagePlace, limit: int) -> list[OutgoingView]:
        """Up to *limit* messages that were taken before *place*, the newest first; with *chat* only to that one."""

    def wrote_to(self, bot: BotId, chat: KnownParty) -> bool:
        """Was a message to *chat* ever sent, as far as messages are kept?"""

    def is_awaited(self, bot: BotId, whatsapp_id: str) -> bool:
        """Is that one of our messages, or may it be the one that is being sent?"""

    def last_sent(self, bot: BotId, chat: KnownParty, since: datetime) -> OutgoingView | None:
        """The newest message that was sent to *chat*, if that was since then."""

    def waiting(self, bot: BotId) -> list[QueuedMessage]:
        """What is queued for the account that the bot has or awaits, in order; without that whose chat
        cannot be read.
        """

    def lost(self, bot: BotId, limit: int) -> list[MessageId]:
        """Up to *limit* messages, in order, that are queued for an account that the bot no longer has."""

    def take(self, bot: BotId, message: MessageId) -> OutgoingView | None:
        """Mark a queued message as being sent; None when it is not queued (any more), or is scheduled for later.

        One whose row is damaged comes back as `failed`: that is to be reported, and nothing is to be sent.
        """

    def requeue(
        self, message: MessageId, attempts: int, due: datetime, reason: str | None, code: str | None = None
    ) -> bool:
        """Let a message wait that was surely not sent, to be retried from *due* on, for a *reason* with its *code*;
        False when it is past that.
        """

    def cancel(self, bot: BotId, message: str) -> bool:
        """Take a queued message back; False when it is not queued (any more)."""

    def reschedule(self, bot: BotId, message: str, due: datetime, deadline: datetime) -> QueuedMessage | None:
        """Let a scheduled message be due then, with a deadline at least as late; one that was given stays.

        None when it is not scheduled, or not queued any more. Raises `InvalidInput` when the given deadline is earlier.
        """

    def expire(self, message: MessageId, reason: str) -> bool:
        """End a queued message as `expired`; False when its deadline is still to come, or it is queued no longer."""

    def hold(self, message: MessageId, reason: str) -> bool:
        """Note why a queued message waits; False when that is noted already, or it is queued no longer."""

    def finish(self, message: MessageId, state: MessageState, reason: str) -> bool:
        """End a message that was not sent as `failed` or `unknown`; False when it is past that."""

    def sent(
        self, bot: BotId, message: MessageId, whatsapp_id: str, sent_at: datetime
    ) -> list[tuple[MessageState, str | None]]:
        """Record WhatsApp's answer, and when it came.

        Returns the steps: the first is made, the others came faster than the answer and are to be made, each with a
        reason when it is a failure.
        """

    def advance(self, bot: BotId, whatsapp_id: str, state: MessageState, reason: str | None = None) -> MessageId | None:
        """Take in a receipt, or with `FAILED` and *reason* a late failure; returns our id when it moved a message.

        A receipt for a message whose sending is not recorded yet is kept for `sent`.
        """

    def unreadable(self) -> list[tuple[BotId, MessageId]]:
        """What is queued but whose chat cannot be read, of all bots: it is never `waiting`, and has to be failed."""

    def apply_step(self, message: MessageId, state: MessageState, reason: str | None = None) -> bool:
        """Move a sent message forward to *state*; False when it is already there or further. What was delivered can not
        fail any more.
        """

    def interrupted(self, bot: BotId, reason: str) -> list[MessageId]:
        """After a crash: what was being sent becomes `unknown`. Returns whom that concerns, in order."""


class ReceiptRepository(Protocol):
    """Receipts of single recipients, of messages that have several."""

    def note(self, bot: BotId, whatsapp_id: str, recipient: str, state: MessageState, at: datetime) -> None:
        """The message with that id has got so far with *recipient*, the id of a person; it never goes back."""

    def of(self, bot: BotId, whatsapp_id: str) -> list[RecipientState]:
        """How far the message with that id has got with each recipient that said anything, the first one first."""


class ChatTimerRepository(Protocol):
    """After how long messages of a chat disappear."""

    def of(self, bot: BotId, chat: str) -> int:
        """Seconds, in the chat with that id (of a person or a group); 0: they stay."""

    def told(self, bot: BotId, chat: str, seconds: int, at: datetime) -> None:
        """A message of that moment says so. One that is older than what is known changes nothing."""


class PacingRepository(Protocol):
    """How fast each bot may write, and to whom it wrote for the first time today."""

    def of(self, bot: BotId) -> tuple[PacingOptions | None, datetime | None]:
        """Its own options (None: the daemon's), and when its number was linked, if that is noted."""

    def save(self, bot: BotId, options: PacingOptions | None) -> None:
        """Give a bot options of its own, or with None the daemon's."""

    def linked(self, bot: BotId, at: datetime) -> None:
        """A number was linked to the bot."""

    def new_chats(self, bot: BotId, day: date) -> int:
        """How many chats it wrote to for the first time on that day."""

    def is_counted(self, bot: BotId, day: date, chat: str) -> bool:
        """Is *chat*, the id of a person, one of them?"""

    def count(self, bot: BotId, day: date, chat: str) -> None:
        """*chat* is one of them. Days before yesterday are forgotten."""


class PollVoteRepository(Protocol):
    """Votes in polls. A vote replaces the same person's earlier one."""

    def cast(self, bot: BotId, poll: str, voter: str, options: tuple[str, ...], voted_at: datetime) -> None:
        """Note what *voter* (the id of a person; empty: the account itself) chooses of *poll* (`MessageRef.key`).

        A vote that is older than what is noted changes nothing.
        """

    def of(self, bot: BotId, poll: str) -> list[tuple[str, ...]]:
        """What each voter has chosen last."""


class PersonRepository(Protocol):
    """Persons: whoever has an address, under one id that stays the same whichever addresses are known."""

    def learn(self, bot: BotId, party: Party) -> KnownParty:
        """Note who *party* is: a new person, or one of whom more is known now."""

    def alias(self, bot: BotId, party: Party, jid: str) -> KnownParty:
        """Learn that a message to *jid*, a phone number, goes to *party*."""

    def complete(self, bot: BotId, party: Party) -> Party:
        """*party* with what is known of it; without an id when it is a person that nobody knows."""

    def look_up(self, bot: BotId, party: Party) -> KnownParty:
        """Like `complete`, with all addresses."""

    def by_id(self, bot: BotId, person: str) -> Party | None:
        """The person of this id, also one that it had before it was merged."""

    def merges(self) -> list[tuple[str, str]]:
        """Each id that is another person's now, and that person's."""

    def ids_of(self, chat: str) -> list[tuple[BotId, KnownParty, list[str]]]:
        """Whoever has the id or the JID *chat*, with each bot that knows it, and all ids that it had."""


class HistoryNoticeRepository(Protocol):
    """What the phone said about the history that it offers: where WhatsApp keeps it, and the keys. Sealed."""

    def keep(self, bot: BotId, whatsapp_id: str, offered_at: datetime, notice: bytes) -> None:
        """Store a notice; one with that id changes nothing."""

    def of(self, bot: BotId) -> list[bytes]:
        """The notices of this bot's present account, the oldest first; one that does not open is left out."""
