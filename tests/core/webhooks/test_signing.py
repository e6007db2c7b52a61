"""Signatures as receivers check them: with the standard's own library, and with plain ed25519."""

from __future__ import annotations

import base64
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from standardwebhooks import Webhook
from standardwebhooks.webhooks import WebhookVerificationError

from zapwire.core.webhooks import signing
from zapwire.core.webhooks.signing import Signer
from zapwire.model.errors import InvalidInput
from zapwire.model.webhooks import EndpointKeys, RetiredSecret

BODY = '{"text":"grüße"}'


def headers(keys: EndpointKeys, now: datetime) -> dict[str, str]:
    signature = Signer(keys).sign("evt_1", now, BODY.encode())
    return {"webhook-id": "evt_1", "webhook-timestamp": str(int(now.timestamp())), "webhook-signature": signature}


def check_ed25519(public: str, sent: dict[str, str], body: str = BODY) -> None:
    """As the specification tells receivers to."""
    key = Ed25519PublicKey.from_public_bytes(base64.b64decode(public.removeprefix("whpk_")))
    signed = f"{sent['webhook-id']}.{sent['webhook-timestamp']}.{body}".encode()
    for one in sent["webhook-signature"].split():
        version, _, signature = one.partition(",")
        if version == "v1a":
            try:
                return key.verify(base64.b64decode(signature), signed)
            except InvalidSignature:
                continue
    raise InvalidSignature


def test_hmac_always_and_ed25519_where_it_is_wanted():
    now = datetime.now(UTC)
    plain, both = signing.new_keys(None, ed25519=False), signing.new_keys(None, ed25519=True)
    assert (plain.private, plain.public) == (None, None)
    assert headers(plain, now)["webhook-signature"].count("v1") == 1
    assert both.public is not None
    assert both.private is not None
    assert both.private.startswith("whsk_")
    Webhook(plain.secret).verify(BODY, headers(plain, now))
    Webhook(both.secret).verify(BODY, headers(both, now))
    check_ed25519(both.public, headers(both, now))
    with pytest.raises(InvalidSignature):
        check_ed25519(both.public, headers(both, now), BODY + " ")
    with pytest.raises(InvalidSignature):
        check_ed25519(both.public, headers(signing.new_keys(None, ed25519=True), now))


def test_a_replaced_secret_signs_too_until_its_time_is_over():
    now = datetime.now(UTC)
    old, new = signing.new_keys(None, ed25519=True), signing.new_keys(None, ed25519=True)
    keys = replace(new, retired=(RetiredSecret(old.secret, old.private, now + timedelta(seconds=60)),))
    assert old.public is not None
    assert new.public is not None
    sent = headers(keys, now)
    assert [one.partition(",")[0] for one in sent["webhook-signature"].split(" ")] == ["v1", "v1a", "v1", "v1a"]
    for one in (old, new):
        Webhook(one.secret).verify(BODY, sent)
        assert one.public is not None
        check_ed25519(one.public, sent)
    late = headers(keys, now + timedelta(seconds=61))
    Webhook(new.secret).verify(BODY, late)
    with pytest.raises(WebhookVerificationError):
        Webhook(old.secret).verify(BODY, late)


@pytest.mark.parametrize("size", [24, 32, 64])
def test_a_secret_of_ones_own(size: int):
    secret = "whsec_" + base64.b64encode(bytes(size)).decode()
    assert signing.new_keys(secret, ed25519=False) == EndpointKeys(secret)


@pytest.mark.parametrize(
    "secret",
    [
        "",
        "secret",
        "whsec_",
        "whsec_" + base64.b64encode(bytes(23)).decode(),
        "whsec_" + base64.b64encode(bytes(65)).decode(),
        base64.b64encode(bytes(32)).decode(),
        "whsec_" + "ä" * 40,
        "whsec_" + "-_" * 20,
    ],
)
def test_a_bad_secret_is_refused(secret: str):
    with pytest.raises(InvalidInput) as caught:
        signing.new_keys(secret, ed25519=False)
    assert caught.value.field == "secret"
