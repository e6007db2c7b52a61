"""The seam between the core and a network: what a transport tells, takes and promises."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol, TypeAlias, runtime_checkable

from zapwire.model.bots import BotId, Identity
from zapwire.model.errors import Condition
from zapwire.model.media import MediaFile, RemoteFile
from zapwire.model.messages import Message, Outgoing, Party, Sent, Undecryptable
from zapwire.model.pairing import PairingCode, PairingOptions, PairingStep, PasskeyChallenge, QrCode, VerificationCode
from zapwire.model.proxy import Proxy
from zapwire.runtime.instruments import EngineFigures


@dataclass(frozen=True, slots=True)
class Connected:
    """Emitted when the bot is linked and online, again after each reconnect."""

    identity: Identity


@dataclass(frozen=True, slots=True)
class Disconnected:
    """Emitted when the connection was lost and the transport is mending it by itself."""

    reason: str
    condition: Condition = Condition.LOST


@dataclass(frozen=True, slots=True)
class Troubled:
    """Emitted when the connection works but something about it will not last, which a person has to mend."""

    reason: str
    action: str
    condition: Condition


@dataclass(frozen=True, slots=True)
class TimeLocked:
    """Emitted when the network says that the account may not write to strangers for a time, or that this is over."""

    until: datetime | None
    """None: it is over."""


@dataclass(frozen=True, slots=True)
class PairingProgress:
    """Emitted when a pairing comes to another step, or when one and the same begins again with another deadline.

    A `QrCode` means the step `scan` by itself.
    """

    step: PairingStep
    expires_at: datetime
    """When the pairing ends unless the step is done."""
    reason: str
    """What is going on, in words for a person."""
    action: str
    """What a person should do next."""


@dataclass(frozen=True, slots=True)
class Paired:
    """Emitted when a phone accepted the pairing; the first `Connected` follows."""

    identity: Identity


@dataclass(frozen=True, slots=True)
class Received:
    """Emitted for each message, in the order the server gave them."""

    message: Message


@dataclass(frozen=True, slots=True)
class Withheld:
    """Emitted for each message that arrived and cannot be told, in order with the others; at times more than once."""

    message: Undecryptable


class ReceiptKind(StrEnum):
    """How far a message got with its recipient."""

    DELIVERED = "delivered"
    READ = "read"
    PLAYED = "played"


@dataclass(frozen=True, slots=True)
class Receipt:
    """Emitted when a recipient's device reports about messages we sent."""

    whatsapp_ids: tuple[str, ...]
    kind: ReceiptKind
    chat: str
    """JID."""
    timestamp: datetime
    recipient: Party | None = None
    """Of a chat with several: whose device it is."""


@dataclass(frozen=True, slots=True)
class SendFailed:
    """Emitted when the network says of messages that it accepted that it could not deliver them."""

    whatsapp_ids: tuple[str, ...]
    reason: str
    """In words, for people."""
    timestamp: datetime


@dataclass(frozen=True, slots=True)
class HistoryOffered:
    """Emitted when the phone offers a part of the account's history, which stays at WhatsApp until it is fetched."""

    id: str
    """Of the message that offers it."""
    timestamp: datetime
    notice: bytes
    """How to fetch it, with the keys: secret. For this transport: a waE2E HistorySyncNotification."""


Stored: TypeAlias = Received | Withheld | Receipt | SendFailed | HistoryOffered
"""What is told once and has to be stored."""

TransportEvent: TypeAlias = (
    QrCode | PairingProgress | Paired | Connected | Disconnected | Troubled | TimeLocked | Stored
)

Grow: TypeAlias = Callable[[int], Awaitable[None]]
"""Asked before so many bytes more are written to the disk; raises `NoSpace` when there is no room for them."""
Emit: TypeAlias = Callable[[TransportEvent], Awaitable[None]]
"""Returns once the event is safely stored; awaiting it is the back-pressure. A failing store is retried meanwhile, so a
transport has no retry of its own; what is raised is about this event alone (`Unstorable`).

Several messages and receipts may be under way at once: they are stored in the order in which the calls began.
"""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What this transport can do, as data."""

    pairing_qr: bool = False
    """`run` emits `QrCode` while no account is linked."""
    pairing_code: bool = False
    """It is a `PairsByCode`."""
    passkey: bool = False
    """It is a `PairsByPasskey`."""
    pairing_options: bool = False
    """It is a `TakesPairingOptions`."""
    proxy: bool = False
    """Each bot can have a proxy of its own: it is a `UsesProxy`, its factory a `TriesProxies`."""
    media: bool = False
    """It is a `CarriesMedia`."""
    message_types: frozenset[str] = frozenset({"text"})
    """To persons and groups."""
    status_types: frozenset[str] = frozenset()
    channel_types: frozenset[str] = frozenset()


class Transport(Protocol):
    """One bot's connection. Made for one bot id; `run` may be called again after it ended.

    What every network has; the rest are protocols of their own, below, which a transport implements or does not:
    `Unlinks`, `PairsByCode`, `PairsByPasskey`, `TakesPairingOptions`, `Probes`, `UsesProxy`, `CarriesMedia`. Its
    factory may be a `KeepsAuthState`, `TriesProxies`, `Watched`, `Measured`.
    """

    account: Identity
    """Whom the bot is linked to as far as the core knows, kept up to date by it; empty: nobody.

    What is kept for the bot may be that of another one, if somebody exchanged files: `run` and `logout` raise `Blocked`
    with `Condition.AUTH_FOREIGN` then, and change nothing.
    """

    @property
    def capabilities(self) -> Capabilities:
        """What this transport can do; constant."""

    async def run(self, emit: Emit) -> None:
        """Pair if need be, connect, and keep going until cancelled.

        Cancelling is the only way to stop it; it returns promptly and leaves nothing running.
        Raises `NeedsPerson` (PairingTimedOut, LoggedOut, Blocked) or `TransportError` when it cannot go on by itself.
        """

    async def send(self, message: Outgoing) -> Sent:
        """Hand one message to the server and wait for its answer.

        Raises `NotConnected` (nothing was sent), `Restricted` (not sent, the account is limited), `Refused` (never),
        `TransportError` (not sent, may pass).
        `TimeoutError` means that nobody knows whether it was sent. What the network says later of a message that it
        accepted comes as `Receipt` or `SendFailed`, which may come before this returns.
        """


@runtime_checkable
class Unlinks(Protocol):
    """A transport that is a device of an account, which can be removed from it."""

    async def logout(self) -> None:
        """Unlink the device at WhatsApp over the connection that there is, and destroy the auth state.

        With no device there is nothing to tell. Raises `TransportError` when WhatsApp could not be notified, so that
        the phone still lists the device, and `Blocked`; then the auth state is kept, and this may be called again.
        """


@runtime_checkable
class PairsByCode(Protocol):
    """A transport that can link with a phone number; announced as `capabilities.pairing_code`."""

    async def pairing_code(self, phone: str) -> PairingCode:
        """Ask for a code for *phone* (E.164) while `run` is pairing.

        Raises `Conflict` when no pairing is under way, `Refused` when WhatsApp does not take the number.
        """


@runtime_checkable
class PairsByPasskey(Protocol):
    """A transport that can link accounts which demand a passkey; announced as `capabilities.passkey`."""

    def passkey(self) -> PasskeyChallenge | VerificationCode:
        """What the pairing waits for: the challenge at step `passkey`, the code at the steps `phone` and `compare`.

        Raises `Conflict`, which says why there is neither.
        """

    async def answer_passkey(self, answer: Mapping[str, Any]) -> None:
        """Hand in the browser's credential (`PublicKeyCredential.toJSON()`); returns once WhatsApp has accepted it.

        Raises `InvalidInput` when it cannot be the answer, `Conflict` when it answers an older challenge or there is
        none, `PasskeyRefused` when WhatsApp does not accept it (a new challenge follows), `TransportError`.
        """

    async def confirm_passkey(self, code: str) -> None:
        """A person says that the phone shows *code*; another one than ours ends the pairing, and nothing is linked.

        Raises `Conflict` when no code is to be confirmed, or when it is another one.
        """


@runtime_checkable
class Probes(Protocol):
    """A transport that can tell whether its server still answers."""

    @property
    def quiet(self) -> float | None:
        """Seconds since something last came in over the present connection; None when nothing has."""

    async def probe(self) -> None:
        """A round trip to the server and back, all the way that messages take.

        Raises `TransportError` when it is not answered, and `NotConnected` when there is no connection to ask over.
        """


@runtime_checkable
class CarriesMedia(Protocol):
    """A transport whose messages carry files; announced as `capabilities.media`. Files are encrypted on disk."""

    async def upload(self, file: MediaFile, path: Path) -> RemoteFile:
        """Upload the encrypted file at *path*; returns how messages name it.

        Raises `NotConnected`, `NotSupported`, `TransportError`; cancelling ends it.
        """

    async def download(self, file: RemoteFile, path: Path, grow: Grow) -> None:
        """Download a file, encrypted as it is, to *path*, where it then is whole and checked, or not at all.

        What is there of an earlier attempt is gone on with. Each piece is written once *grow* allows it; raises what
        that does, `MediaExpired` when the network has it no longer,
        `MediaDamaged`, `TransportError`, OSError of the disk; cancelling ends it.
        """


class TransportFactory(Protocol):
    """Makes the transport of a bot; owns what all bots of that transport share."""

    def __call__(self, bot: BotId) -> Transport:
        """Make the transport of *bot*; does no I/O."""


@runtime_checkable
class KeepsAuthState(Protocol):
    """A factory that keeps what its bots are linked by: keys, sessions, tokens."""

    async def state(self, bot: BotId, *, at_rest: bool) -> bytes:
        """What is kept for *bot*, as one consistent copy that `adopt` takes; secret.

        *at_rest*: its connection has been ended, so wait until nothing is written any more. Raises `NeedsPerson` when
        it is damaged or missing, `TransportError` when that may pass.
        """

    async def keeps(self, bot: BotId) -> bool:
        """Is there auth state of *bot*, readable or not? Raises `TransportError` when that cannot be told now."""

    async def adopt(self, bot: BotId, state: bytes) -> None:
        """Keep *state* for *bot*; all of it or nothing, also in a crash. Raises `Conflict` when something is kept."""

    async def forget(self, bot: BotId) -> None:
        """Destroy what is kept for *bot* (its auth state); no error when there is nothing."""


@runtime_checkable
class Watched(Protocol):
    """A factory whose shared engine can hang."""

    async def answers(self) -> None:
        """Return as soon as the engine has answered something cheap; the caller gives up by cancelling."""

    def stuck(self) -> int:
        """Calls that should have returned long ago."""


@runtime_checkable
class Measured(Protocol):
    """A factory that tells figures of what its bots share."""

    def figures(self) -> EngineFigures:
        """As they are now; does no I/O."""


@runtime_checkable
class UsesProxy(Protocol):
    """A transport that can connect through a proxy of its own; announced as `capabilities.proxy`."""

    proxy: Proxy | None
    """For the next `run`, pairing included; None: the way that all take."""


@runtime_checkable
class TakesPairingOptions(Protocol):
    """A transport whose bots can say how they are paired; announced as `capabilities.pairing_options`."""

    pairing_options: PairingOptions
    """For the next pairing."""


@runtime_checkable
class TriesProxies(Protocol):
    """A factory that can find out whether a proxy works."""

    async def try_proxy(self, proxy: Proxy) -> None:
        """Connect to the network's server through *proxy*. Raises `TransportError` that says why it does not work."""
