"""Sessions between two devices: the double ratchet.

Protocol source: libsignal (SessionCipher, RootKey, MessageKeys), message version 3.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from zapwire.sandbox.signal.chains import Chain, ReceivingChain
from zapwire.sandbox.signal.ciphers import decrypt
from zapwire.sandbox.signal.errors import DecryptFailed, DuplicateMessage, NoSession
from zapwire.sandbox.signal.framing import PreKeyMessage, SignalMessage
from zapwire.wire.curve import KeyPair
from zapwire.wire.kdf import cbc_encrypt, hkdf

MAX_RECEIVERS = 5
MAX_PREVIOUS = 40


@dataclass(frozen=True, slots=True)
class MessageKeys:
    """The keys of one message."""

    cipher: bytes
    mac: bytes
    iv: bytes

    @classmethod
    def of(cls, seed: bytes) -> MessageKeys:
        """Derive from a chain position's seed."""
        material = hkdf(seed, info=b"WhisperMessageKeys", length=80)
        return cls(material[:32], material[32:64], material[64:])


def next_root(root: bytes, secret: bytes) -> tuple[bytes, Chain]:
    """One step of the Diffie-Hellman ratchet: the new root key and a new chain."""
    material = hkdf(secret, salt=root, info=b"WhisperRatchet", length=64)
    return material[:32], Chain(material[32:])


@dataclass(frozen=True, slots=True)
class Unconfirmed:
    """What every message repeats until the other side has answered."""

    prekey_id: int | None
    signed_prekey_id: int
    registration_id: int


@dataclass(slots=True)
class SessionState:
    """One session. `base_key` (the initiator's) tells sessions with the same device apart."""

    own_identity: bytes
    their_identity: bytes
    base_key: bytes
    root: bytes
    own_ratchet: KeyPair
    sending: Chain
    receivers: dict[bytes, ReceivingChain] = field(default_factory=dict)
    previous_counter: int = 0
    unconfirmed: Unconfirmed | None = None

    def encrypt(self, plaintext: bytes) -> bytes:
        """A SignalMessage, wrapped in a PreKeyMessage while the other side has not answered."""
        keys = MessageKeys.of(self.sending.seed)
        ciphertext = cbc_encrypt(keys.cipher, keys.iv, plaintext)
        message = SignalMessage(self.own_ratchet.public, self.sending.index, self.previous_counter, ciphertext)
        sealed = message.seal(keys.mac, self.own_identity, self.their_identity)
        self.sending = self.sending.next
        if self.unconfirmed is None:
            return sealed
        return PreKeyMessage(
            registration_id=self.unconfirmed.registration_id,
            prekey_id=self.unconfirmed.prekey_id,
            signed_prekey_id=self.unconfirmed.signed_prekey_id,
            base_key=self.base_key,
            identity=self.own_identity,
            message=sealed,
        ).serialize()

    def decrypt(self, message: SignalMessage) -> bytes:
        """The plaintext; on any SignalError the state is as before."""
        receiver = self.receivers.get(message.ratchet_key)
        root = self.root
        if receiver is None:
            root, chain = next_root(self.root, _agree(self.own_ratchet, message.ratchet_key))
            receiver = ReceivingChain(chain)
        found = receiver.find(message.counter)
        keys = MessageKeys.of(found.seed)
        message.check(keys.mac, self.their_identity, self.own_identity)
        plaintext = decrypt(keys.cipher, keys.iv, message.ciphertext)
        receiver.take(found)
        if message.ratchet_key not in self.receivers:
            self._turn(message.ratchet_key, receiver, root)
        self.unconfirmed = None
        return plaintext

    def _turn(self, their_ratchet: bytes, receiver: ReceivingChain, root: bytes) -> None:
        """They answered with a new ratchet key: keep their chain and start a new one of our own."""
        self.receivers[their_ratchet] = receiver
        while len(self.receivers) > MAX_RECEIVERS:
            del self.receivers[next(iter(self.receivers))]
        self.previous_counter = max(self.sending.index - 1, 0)
        self.own_ratchet = KeyPair.generate()
        self.root, self.sending = next_root(root, self.own_ratchet.agree(their_ratchet))


def _agree(own: KeyPair, their_public: bytes) -> bytes:
    try:
        return own.agree(their_public)
    except ValueError as error:
        raise DecryptFailed(str(error)) from error


@dataclass(slots=True)
class Session:
    """All sessions with one device, the current one first; older ones still decrypt what was under way."""

    states: list[SessionState] = field(default_factory=list)

    def start(self, state: SessionState) -> None:
        """Make a new session the current one."""
        self.states.insert(0, state)
        del self.states[MAX_PREVIOUS + 1 :]

    def has(self, base_key: bytes) -> bool:
        """Whether a prekey message with this base key has set up a session before."""
        return any(state.base_key == base_key for state in self.states)

    def encrypt(self, plaintext: bytes) -> tuple[str, bytes]:
        """The `enc` type (`msg` or `pkmsg`) and the ciphertext; raises NoSession."""
        if not self.states:
            message = "there is no session with that device"
            raise NoSession(message)
        current = self.states[0]
        kind = "pkmsg" if current.unconfirmed else "msg"
        return kind, current.encrypt(plaintext)

    def decrypt(self, message: SignalMessage) -> bytes:
        """Try the current session, then older ones, and make the one that fits current; raises SignalError."""
        failure: DecryptFailed | DuplicateMessage | NoSession = NoSession("there is no session with that device")
        for state in self.states:
            try:
                plaintext = state.decrypt(message)
            except DuplicateMessage as error:
                failure = error
                break
            except DecryptFailed as error:
                failure = error
                continue
            self.states.remove(state)
            self.states.insert(0, state)
            return plaintext
        raise failure
