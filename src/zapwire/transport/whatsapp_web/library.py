"""The engine's shared library: which of its exports are used, with their types.

Standard library only, as the pairing child loads it too and has to be quick. neonize's own `_binder` is not used
because it declares all 130 exports and treats some that return nothing (`Stop`) as if they returned a string to be
freed. Sources: neonize 0.5.2, goneonize/main.go and goneonize/header/cstruct.h. Strings and structs that the library
returns are freed here (`FreeString`, `FreeBytesStruct`).
"""

from __future__ import annotations

import ctypes
from ctypes import CFUNCTYPE, POINTER, c_bool, c_char_p, c_int, c_size_t, c_void_p
from pathlib import Path
from typing import Any

from zapwire.transport.whatsapp_web.client_table import ClientTable
from zapwire.transport.whatsapp_web.noise_root import replace_noise_root

TEXT_CALLBACK = CFUNCTYPE(None, c_void_p, c_char_p)
"""(bot, text): a QR code, or how a login ended."""
EVENT_CALLBACK = CFUNCTYPE(None, c_void_p, c_void_p, c_size_t, c_int)
"""(bot, protobuf, its size, event code); called on the thread that is parked in `Neonize`."""
LOG_CALLBACK = CFUNCTYPE(None, c_void_p, c_size_t)
"""(protobuf LogEntry, its size); called on any thread of the engine."""


class BytesReturn(ctypes.Structure):
    """`struct BytesReturn` of cstruct.h."""

    _fields_ = (("data", c_void_p), ("size", c_size_t))


class ProxySettings(ctypes.Structure):
    """`struct ProxySettings` of cstruct.h: a URL, and three exceptions of which none is made."""

    _fields_ = (("url", c_char_p), ("no_websocket", c_bool), ("only_login", c_bool), ("no_media", c_bool))


class Library:
    """The loaded engine; all methods block, and may only be called under the gate's rules."""

    def __init__(self, path: Path, noise_root: bytes | None = None) -> None:
        """Load *path*; with *noise_root* servers are judged by that key instead of WhatsApp's.

        Raises OSError when the library cannot be loaded and `NoiseRootError` when the key cannot be replaced.
        """
        self._code = ctypes.CDLL(str(path))
        self._declare()
        # Go starts in a thread of its own and is not there yet when the library is loaded. The first call waits for it,
        # so from here on Go has copied its environment, and Python may change the original.
        self.version()
        self.table = ClientTable.find(path, ctypes.cast(self._code.Neonize, c_void_p).value or 0)
        """How many clients there are, without a call; None where that cannot be seen."""
        if noise_root is not None:
            replace_noise_root(path, noise_root)

    def _declare(self) -> None:
        code = self._code
        buffer = (c_char_p, c_int)
        code.Neonize.argtypes = [
            c_char_p, c_char_p, *buffer, c_int, c_char_p,
            TEXT_CALLBACK, TEXT_CALLBACK, EVENT_CALLBACK, LOG_CALLBACK,
            *buffer, *buffer, *buffer, c_void_p,
        ]  # fmt: skip
        for name, arguments, result in (
            ("Neonize", None, c_void_p),
            ("GetVersion", [], c_void_p),
            ("Logout", [c_char_p], c_void_p),
            ("Stop", [c_char_p], None),
            ("Disconnect", [c_char_p], None),
            ("IsConnected", [c_char_p], c_bool),
            ("GetMe", [c_char_p], POINTER(BytesReturn)),
            ("SetPassive", [c_char_p, c_bool], c_void_p),
            ("SendMessage", [c_char_p, *buffer, *buffer], POINTER(BytesReturn)),
            ("GetPNFromLID", [c_char_p, *buffer], POINTER(BytesReturn)),
            ("GetLIDFromPN", [c_char_p, *buffer], POINTER(BytesReturn)),
            ("PairPhone", [c_char_p, *buffer], POINTER(BytesReturn)),
            ("FreeString", [c_void_p], None),
            ("FreeBytesStruct", [POINTER(BytesReturn)], None),
        ):
            export = getattr(code, name)
            export.restype = result
            if arguments is not None:
                export.argtypes = arguments

    def version(self) -> str:
        """The engine's own version; needs no client, and the answer shows that Go is alive."""
        return self._text(self._code.GetVersion())

    def start(
        self,
        database: bytes,
        bot: bytes,
        events: bytes,
        device: bytes,
        callbacks: tuple[Any, Any, Any, Any],
        *,
        proxy: str | None = None,
    ) -> str:
        """`Neonize`: run a client until it is stopped; returns the error that ended it, or an empty string.

        *database* is a DSN as in `devices.dsn`, *callbacks* are (QR, login end, event, log) and must outlive the
        process' use of the library, as late goroutines may still call them. *proxy* is a URL (http, socks5), for
        everything that this client dials; None: that of the environment the process was started with.
        """
        texts = (b"", 0, 0, b"INFO", *callbacks)
        settings = None if proxy is None else ctypes.byref(ProxySettings(proxy.encode()))
        buffers = (events, len(events), device, len(device), b"", 0)
        return self._text(self._code.Neonize(database, bot, *texts, *buffers, settings))

    def stop(self, bot: bytes) -> None:
        """Take the client out of the table; its `start` returns soon after."""
        self._code.Stop(bot)

    def disconnect(self, bot: bytes) -> None:
        """Close the connection; up to 5 s, or as long as a dial that is under way."""
        self._code.Disconnect(bot)

    def logout(self, bot: bytes) -> str:
        """Unlink the device and delete its row; returns the error or an empty string."""
        return self._text(self._code.Logout(bot))

    def is_connected(self, bot: bytes) -> bool:
        """Is the socket up; says nothing about being logged in."""
        return bool(self._code.IsConnected(bot))

    def me(self, bot: bytes) -> bytes:
        """A `Device`."""
        return self._bytes(self._code.GetMe(bot))

    def set_active(self, bot: bytes) -> str:
        """Tell the server that this device wants its stanzas, as at each login; its answer: an error or nothing."""
        return self._text(self._code.SetPassive(bot, False))  # noqa: FBT003 - the export's argument

    def send_message(self, bot: bytes, to: bytes, message: bytes) -> bytes:
        """Send a waE2E `Message` to a `JID`; a `SendMessageReturnFunction`."""
        return self._bytes(self._code.SendMessage(bot, to, len(to), message, len(message)))

    def phone_of_lid(self, bot: bytes, lid: bytes) -> bytes:
        """From the store, without the network; a `GetJIDFromStoreReturnFunction`."""
        return self._bytes(self._code.GetPNFromLID(bot, lid, len(lid)))

    def lid_of_phone(self, bot: bytes, phone: bytes) -> bytes:
        """From the store, without the network; a `GetJIDFromStoreReturnFunction`."""
        return self._bytes(self._code.GetLIDFromPN(bot, phone, len(phone)))

    def pair_phone(self, bot: bytes, parameters: bytes) -> bytes:
        """Ask for a pairing code; takes `PairPhoneParams`, returns a `PairPhoneReturnFunction`."""
        return self._bytes(self._code.PairPhone(bot, parameters, len(parameters)))

    def _text(self, pointer: int | None) -> str:
        if not pointer:
            return ""
        try:
            return ctypes.string_at(pointer).decode(errors="replace")
        finally:
            self._code.FreeString(pointer)

    def _bytes(self, pointer: Any) -> bytes:
        if not pointer:
            return b""
        try:
            result = pointer.contents
            return ctypes.string_at(result.data, result.size) if result.data and result.size else b""
        finally:
            self._code.FreeBytesStruct(pointer)
