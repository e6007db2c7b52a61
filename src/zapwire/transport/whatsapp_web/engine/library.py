"""The engine's shared library, loaded; its exports are declared and fenced in `exports`.

Standard library only, as the pairing child loads it too and has to be quick. neonize's own `_binder` is not used
because it declares all exports and treats some that return nothing (`Stop`) as if they returned a string to be freed.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from zapwire.model.errors import NotConnected
from zapwire.transport.whatsapp_web.engine.exports import EXPORTS, LOG_CALLBACK, declare, read_result
from zapwire.transport.whatsapp_web.engine.private import builds, media_hosts
from zapwire.transport.whatsapp_web.engine.private.announced_version import AnnouncedVersion, announced_version
from zapwire.transport.whatsapp_web.engine.private.client_table import ClientTable
from zapwire.transport.whatsapp_web.engine.private.media_hosts import MediaHosts
from zapwire.transport.whatsapp_web.engine.private.noise_root import replace_noise_root

_NO_FILE = b"/v/t62.7119-24/0_0_0_n.enc?ccb=11-4"
_UNHEARD = LOG_CALLBACK(lambda _entry, _size: None)
"""Takes log lines that say nothing; never freed, as the engine keeps it."""


class WrongVersion(Exception):
    """The library is not of the version that its exports are declared for."""

    def __init__(self, found: str) -> None:
        super().__init__(
            f"it is version {found}, and this program fits {builds.VERSION} only: install what requirements.lock names "
            "(`make setup`, or pip install --require-hashes -r requirements.lock)"
        )


class Library:
    """The loaded engine; all methods block, and may only be called under the gate's rules.

    Those that need a client raise `NotConnected` when that bot has none, and all of them `BadArgument` instead of
    calling the engine with what would end the process.
    """

    def __init__(
        self, path: Path, noise_root: bytes | None = None, known: Iterable[builds.Build] = builds.KNOWN
    ) -> None:
        """Load *path*; with *noise_root* servers are judged by that key instead of WhatsApp's.

        Raises OSError when the library cannot be loaded, `WrongVersion`, and `NoiseRootError` when the key cannot be
        replaced.
        """
        self._path = path
        self._places: AnnouncedVersion | None = None
        self._code = ctypes.CDLL(str(path))
        self._clients: set[bytes] = set()
        declare(self._code)
        # Go starts in a thread of its own and is not there yet when the library is loaded. The first call waits for it,
        # so from here on Go has copied its environment, and Python may change the original.
        if (version := self.version()) != builds.VERSION:
            raise WrongVersion(version)
        self.announced = announced_version(path)
        """The version of WhatsApp Web that the engine announces; None when it is not found."""
        build = builds.find(path, known)
        address = ctypes.cast(self._code.Neonize, ctypes.c_void_p).value
        self.table = None if build is None or address is None else ClientTable(build, address)
        """The engine's clients from outside; None for a build that is not known."""
        if noise_root is not None:
            replace_noise_root(path, noise_root)

    def announce(self, revision: int) -> None:
        """From the next registration or login on, announce 2.3000.*revision*; the first time takes some milliseconds.

        Raises `VersionNotFound`; then nothing has changed.
        """
        if self._places is None:
            self._places = AnnouncedVersion(self._path)
        self._places.announce(revision)
        self.announced = (2, 3000, revision)

    def version(self) -> str:
        """The engine's own version; needs no client, and the answer shows that Go is alive."""
        return str(self._call("GetVersion"))

    def start(
        self,
        database: bytes,
        bot: bytes,
        events: bytes,
        device: bytes,
        callbacks: tuple[Any, Any, Any, Any],
        *,
        proxy: str | None = None,
        log_level: str = "INFO",
    ) -> str:
        """`Neonize`: run a client until it is stopped; returns the error that ended it, or an empty string.

        *database* is a DSN as in `devices.dsn`, *callbacks* are (QR, login end, event, log) and must outlive the
        engine's use of them, as late goroutines may still call them. *proxy* is a URL (http, socks5), for everything
        that this client dials; None: that of the environment the process was started with. At the *log_level* `DEBUG`
        the log holds every stanza.
        """
        url = None if proxy is None else proxy.encode()
        return str(
            self._call("Neonize", database, bot, b"", 0, log_level.encode(), *callbacks, events, device, b"", url)
        )

    def make_store(self, database: bytes) -> None:
        """`GetAllDevices`: make an empty store at *database*, a DSN as in `devices.dsn`, if there is none.

        Leaks a connection; hence for one in memory, once a process. Whether it worked is seen in the store.
        """
        self._call("GetAllDevices", database, _UNHEARD)

    def started(self, bot: bytes) -> None:
        """The client is in the engine's table: its first callback came. From now on it may be called."""
        self._clients.add(bot)

    def stop(self, bot: bytes) -> None:
        """Take the client out of the table; its `start` returns soon after. Nothing calls it any more before that."""
        self._clients.discard(bot)
        self._call("Stop", bot)

    def disconnect(self, bot: bytes) -> None:
        """Close the connection; up to 5 s, or as long as a dial that is under way."""
        self._call("Disconnect", bot)

    def logout(self, bot: bytes) -> str:
        """Unlink the device and delete its row; returns the error or an empty string."""
        return str(self._call("Logout", bot))

    def is_connected(self, bot: bytes) -> bool:
        """Is the socket up; says nothing about being logged in."""
        return bool(self._call("IsConnected", bot))

    def me(self, bot: bytes) -> bytes:
        """A `Device`. Raises `EmptyResult`."""
        return bytes(self._call("GetMe", bot))

    def set_active(self, bot: bytes) -> str:
        """Tell the server that this device wants its stanzas, as at each login; its answer: an error or nothing."""
        return str(self._call("SetPassive", bot, False))  # noqa: FBT003 - the export's argument

    def send_message(self, bot: bytes, to: bytes, message: bytes) -> bytes:
        """Send a waE2E `Message` to a `JID`; a `SendMessageReturnFunction`.

        Raises `EmptyResult`: it may have been sent.
        """
        return bytes(self._call("SendMessage", bot, to, message))

    def upload(self, bot: bytes, data: bytes, kind: int) -> bytes:
        """Encrypt and upload a file (kinds: 0 image, 1 video, 2 audio, 3 document); an `UploadReturnFunction`.

        Takes three times its size in memory besides. Raises `EmptyResult`.
        """
        return bytes(self._call("Upload", bot, data, kind))

    def ask_for_media_hosts(self, bot: bytes) -> None:
        """Let the client ask WhatsApp for its media hosts, unless it knows them: by a download that fails.

        The path is that of no file. Raises `EmptyResult`.
        """
        nothing = bytes(32)
        self._call("DownloadMediaWithPath", bot, _NO_FILE, nothing, nothing, nothing, 1, 3, b"document")

    def media_hosts(self, bot: bytes) -> MediaHosts | None:
        """The media hosts that the client knows; None where that cannot be seen."""
        return None if self.table is None else media_hosts.read(self.table, bot)

    def build_poll_vote(self, bot: bytes, poll: bytes, options: bytes) -> bytes:
        """A vote for the *options* (an `ArrayString`) of a poll (its `MessageInfo`), encrypted with the poll's key.

        A `BuildPollVoteReturnFunction`. Raises `EmptyResult`.
        """
        return bytes(self._call("BuildPollVote", bot, poll, options))

    def decrypt_poll_vote(self, bot: bytes, event: bytes) -> bytes:
        """What is chosen in a vote; *event* is the `Message` as the engine gave it. A `ReturnFunctionWithError`.

        Raises `EmptyResult`.
        """
        return bytes(self._call("DecryptPollVote", bot, event))

    def find_account(self, bot: bytes, number: bytes) -> bytes:
        """Ask WhatsApp who has this number (`+` and digits); an `IsOnWhatsAppReturnFunction`.

        The account is named by its LID; its own form of the number is in the store then. That nobody has it is told as
        an error. Raises `EmptyResult`.
        """
        return bytes(self._call("IsOnWhatsApp", bot, number))

    def phone_of_lid(self, bot: bytes, lid: bytes) -> bytes:
        """From the store, without the network; a `GetJIDFromStoreReturnFunction`, with an empty JID when it knows none.

        Raises `EmptyResult`.
        """
        return bytes(self._call("GetPNFromLID", bot, lid))

    def lid_of_phone(self, bot: bytes, phone: bytes) -> bytes:
        """The other way round; as `phone_of_lid`."""
        return bytes(self._call("GetLIDFromPN", bot, phone))

    def pair_phone(self, bot: bytes, parameters: bytes) -> bytes:
        """Ask for a pairing code; takes `PairPhoneParams` with all fields, returns a `PairPhoneReturnFunction`.

        Raises `EmptyResult`.
        """
        return bytes(self._call("PairPhone", bot, parameters))

    def _call(self, name: str, *arguments: Any) -> Any:
        export = EXPORTS[name]
        checked: list[Any] = []
        for kind, value in zip(export.arguments, arguments, strict=True):
            checked += kind.check(value)
        if export.needs_client and arguments[0] not in self._clients:
            raise NotConnected("the bot is not connected to WhatsApp")
        return read_result(self._code, name, getattr(self._code, name)(*checked))
