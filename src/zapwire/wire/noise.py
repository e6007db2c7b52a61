"""The Noise handshakes and the transport of WhatsApp Web, both sides.

A client that does not know the server's static key uses the pattern XX. One that has kept it resumes with IK, whose
first message says who it is already. A server that cannot read that (its key is another one now) answers as in XX and
both go on with XXfallback: XX with the client's first message already sent.

Source: the Noise specification (revision 34, sections 5, 7 and 10) with WhatsApp's framing: the prologue is the four
header bytes "WA", 6, dictionary version 3; the messages are protobuf `HandshakeMessage`; the server's payload is its
certificate chain. Resuming: WhatsApp Web's module `WAOpenChatSocket`.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from zapwire.wire.curve import KeyPair

XX: Final = b"Noise_XX_25519_AESGCM_SHA256"
IK: Final = b"Noise_IK_25519_AESGCM_SHA256"
FALLBACK: Final = b"Noise_XXfallback_25519_AESGCM_SHA256"
HEADER: Final = b"WA\x06\x03"
KEY_SIZE: Final = 32


class NoiseError(Exception):
    """A handshake or transport message that does not verify."""


def _agree(ours: KeyPair, theirs: bytes) -> bytes:
    try:
        return ours.agree(theirs)
    except ValueError as error:
        raise NoiseError("not a public key") from error


def _nonce(counter: int) -> bytes:
    return counter.to_bytes(12, "big")


class Cipher:
    """One direction of an established connection: AES-GCM under a counter."""

    def __init__(self, key: bytes) -> None:
        self._aes = AESGCM(key)
        self._counter = 0

    def seal(self, plaintext: bytes) -> bytes:
        """Encrypt the next message. Sealed messages must leave in the order of these calls."""
        sealed = self._aes.encrypt(_nonce(self._counter), plaintext, None)
        self._counter += 1
        return sealed

    def open(self, sealed: bytes) -> bytes:
        """Decrypt the next message; raises NoiseError when it was changed, repeated or is out of order."""
        try:
            plaintext = self._aes.decrypt(_nonce(self._counter), sealed, None)
        except InvalidTag as error:
            raise NoiseError("message does not verify") from error
        self._counter += 1
        return plaintext


class SymmetricState:
    """The running hash and key of a handshake."""

    def __init__(self, prologue: bytes = HEADER, pattern: bytes = XX) -> None:
        padded = pattern.ljust(KEY_SIZE, b"\0")
        self._hash = padded if len(padded) == KEY_SIZE else hashlib.sha256(pattern).digest()
        self._salt = self._hash
        self._aes = AESGCM(self._hash)
        self._counter = 0
        self.mix_hash(prologue)

    def mix_hash(self, data: bytes) -> None:
        """Bind the transcript to these bytes."""
        self._hash = hashlib.sha256(self._hash + data).digest()

    def mix_key(self, secret: bytes) -> None:
        """Take a shared secret into the key."""
        self._salt, key = self._derive(secret)
        self._aes = AESGCM(key)
        self._counter = 0

    def encrypt(self, plaintext: bytes) -> bytes:
        """Encrypt a handshake field and bind the transcript to it."""
        sealed = self._aes.encrypt(_nonce(self._counter), plaintext, self._hash)
        self._counter += 1
        self.mix_hash(sealed)
        return sealed

    def decrypt(self, sealed: bytes) -> bytes:
        """Decrypt a handshake field; raises NoiseError when it does not verify."""
        try:
            plaintext = self._aes.decrypt(_nonce(self._counter), sealed, self._hash)
        except InvalidTag as error:
            raise NoiseError("handshake does not verify") from error
        self._counter += 1
        self.mix_hash(sealed)
        return plaintext

    def split(self) -> tuple[Cipher, Cipher]:
        """The two transport ciphers: initiator to responder, responder to initiator."""
        first, second = self._derive(b"")
        return Cipher(first), Cipher(second)

    def _derive(self, secret: bytes) -> tuple[bytes, bytes]:
        block = HKDF(SHA256(), 2 * KEY_SIZE, self._salt, b"").derive(secret)
        return block[:KEY_SIZE], block[KEY_SIZE:]


@dataclass(frozen=True, slots=True)
class ServerHello:
    """What the responder answers: its ephemeral key in clear, static key and payload sealed."""

    ephemeral: bytes
    static: bytes
    payload: bytes


class Responder:
    """The server's side of XX, and of XXfallback. `hello` once, then `finish` once."""

    def __init__(self, static: KeyPair, payload: bytes, *, fallback: bool = False) -> None:
        """*fallback*: the client tried to resume and could not be understood."""
        self._state = SymmetricState(pattern=FALLBACK if fallback else XX)
        self._static = static
        self._payload = payload
        self._ephemeral = KeyPair.generate()

    def hello(self, client_ephemeral: bytes) -> ServerHello:
        """Answer the client's ephemeral key; raises NoiseError when it is none."""
        self._state.mix_hash(client_ephemeral)
        self._state.mix_hash(self._ephemeral.public)
        self._state.mix_key(_agree(self._ephemeral, client_ephemeral))
        static = self._state.encrypt(self._static.public)
        self._state.mix_key(_agree(self._static, client_ephemeral))
        return ServerHello(self._ephemeral.public, static, self._state.encrypt(self._payload))

    def finish(self, static: bytes, payload: bytes) -> tuple[bytes, bytes, Cipher, Cipher]:
        """Read the client's last message: (its static key, its payload, cipher to read, cipher to write)."""
        client_static = self._state.decrypt(static)
        self._state.mix_key(_agree(self._ephemeral, client_static))
        client_payload = self._state.decrypt(payload)
        read, write = self._state.split()
        return client_static, client_payload, read, write


class ResumedResponder:
    """The server's side of IK. `read` once, then `answer` once."""

    def __init__(self, static: KeyPair, payload: bytes) -> None:
        self._state = SymmetricState(pattern=IK)
        self._static = static
        self._payload = payload
        self._client_ephemeral = b""
        self._client_static = b""

    def read(self, ephemeral: bytes, static: bytes, payload: bytes) -> tuple[bytes, bytes]:
        """The client's first message: (its static key, its payload); NoiseError when it was made for another key."""
        self._state.mix_hash(self._static.public)
        self._state.mix_hash(ephemeral)
        self._state.mix_key(_agree(self._static, ephemeral))
        self._client_ephemeral, self._client_static = ephemeral, self._state.decrypt(static)
        self._state.mix_key(_agree(self._static, self._client_static))
        return self._client_static, self._state.decrypt(payload)

    def answer(self) -> tuple[bytes, bytes, Cipher, Cipher]:
        """The answer that ends the handshake: (ephemeral key, sealed payload, cipher to read, cipher to write)."""
        own = KeyPair.generate()
        self._state.mix_hash(own.public)
        self._state.mix_key(_agree(own, self._client_ephemeral))
        self._state.mix_key(_agree(own, self._client_static))
        payload = self._state.encrypt(self._payload)
        read, write = self._state.split()
        return own.public, payload, read, write


class Initiator:
    """The client's side of XX."""

    def __init__(self, static: KeyPair, resumed: ResumedInitiator | None = None) -> None:
        """*resumed*: the attempt to resume after which this goes on as XXfallback."""
        self._state = SymmetricState(pattern=XX if resumed is None else FALLBACK)
        self._static = static
        self._ephemeral = KeyPair.generate() if resumed is None else resumed.ephemeral

    def hello(self) -> bytes:
        """The ephemeral key to send."""
        self._state.mix_hash(self._ephemeral.public)
        return self._ephemeral.public

    def answer(self, hello: ServerHello) -> tuple[bytes, bytes]:
        """Read the server's answer: (its static key, its payload); raises NoiseError when it does not verify."""
        self._state.mix_hash(hello.ephemeral)
        self._state.mix_key(_agree(self._ephemeral, hello.ephemeral))
        server_static = self._state.decrypt(hello.static)
        self._state.mix_key(_agree(self._ephemeral, server_static))
        self._server_ephemeral = hello.ephemeral
        return server_static, self._state.decrypt(hello.payload)

    def finish(self, payload: bytes) -> tuple[bytes, bytes, Cipher, Cipher]:
        """The last message: (sealed static key, sealed payload, cipher to read, cipher to write)."""
        static = self._state.encrypt(self._static.public)
        self._state.mix_key(_agree(self._static, self._server_ephemeral))
        sealed = self._state.encrypt(payload)
        write, read = self._state.split()
        return static, sealed, read, write


class ResumedInitiator:
    """The client's side of IK, which knows the server's static key."""

    def __init__(self, static: KeyPair, server_static: bytes) -> None:
        self._state = SymmetricState(pattern=IK)
        self._static = static
        self._server_static = server_static
        self.ephemeral = KeyPair.generate()

    def hello(self, payload: bytes) -> tuple[bytes, bytes, bytes]:
        """The first message: (ephemeral key, sealed static key, sealed payload)."""
        self._state.mix_hash(self._server_static)
        self._state.mix_hash(self.ephemeral.public)
        self._state.mix_key(_agree(self.ephemeral, self._server_static))
        static = self._state.encrypt(self._static.public)
        self._state.mix_key(_agree(self._static, self._server_static))
        return self.ephemeral.public, static, self._state.encrypt(payload)

    def finish(self, ephemeral: bytes, payload: bytes) -> tuple[bytes, Cipher, Cipher]:
        """Read the server's answer: (its payload, cipher to read, cipher to write); raises NoiseError."""
        self._state.mix_hash(ephemeral)
        self._state.mix_key(_agree(self.ephemeral, ephemeral))
        self._state.mix_key(_agree(self._static, ephemeral))
        opened = self._state.decrypt(payload)
        write, read = self._state.split()
        return opened, read, write
