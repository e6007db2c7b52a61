from __future__ import annotations

import pytest

from zapwire.model.errors import NotConnected, Refused, Restricted, TransportError
from zapwire.transport.whatsapp_web.outbound.send_errors import (
    NoAccount,
    from_pair_phone_error,
    from_send_error,
)

SENDS = [
    ("no LID found for 4915519999999@s.whatsapp.net from server", NoAccount, "not on WhatsApp"),
    ("websocket not connected", NotConnected, "not connected"),
    (
        "failed to get user info for 4915519999999@s.whatsapp.net to fill LID cache: info query timed out",
        TransportError,
        "...",
    ),
    ("timed out waiting for message send response", TimeoutError, "confirm"),
    ("server returned error 463", Restricted, "new chats"),
    ("server returned error 400", Refused, "400"),
    ("server returned error 503", TransportError, "503"),
    ("failed to get group members: that group does not exist", Refused, "does not exist"),
    ("failed to get group members: you're not participating in that group", Refused, "not a member"),
]


@pytest.mark.parametrize(("text", "kind", "words"), SENDS)
def test_send_errors(text: str, kind: type[Exception], words: str):
    error = from_send_error(text)
    assert type(error) is kind
    assert words in str(error)
    assert "4915519999999" not in str(error)


PAIR_PHONE = [
    ("info query returned status 400: bad-request", Refused),
    ("international phone number required (must not start with 0)", Refused),
    ("info query returned status 429: rate-overlimit", TransportError),
    ("info query timed out", TransportError),
]


@pytest.mark.parametrize(("text", "kind"), PAIR_PHONE)
def test_pairing_code_errors(text: str, kind: type[Exception]):
    assert type(from_pair_phone_error(text)) is kind


def test_a_limit_on_the_account_is_no_refusal_of_one_message():
    strangers = from_send_error("server returned error 463")
    assert isinstance(strangers, Restricted)
    assert strangers.strangers
    rate = from_send_error("server returned error 429")
    assert isinstance(rate, Restricted)
    assert not rate.strangers
