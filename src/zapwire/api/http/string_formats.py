"""What the texts of requests look like, for the OpenAPI document; the core checks them, in words for people.

The document is as strict as the code wherever JSON Schema can say it: a test makes a wrong value of each constraint and
expects it refused.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Final

from pydantic import AfterValidator, Field, WithJsonSchema

from zapwire.core.webhooks import signing, validation
from zapwire.core.webhooks.renderers import RENDERERS
from zapwire.model.events import EventType
from zapwire.model.jid import LONGEST as NUMBER_LONGEST
from zapwire.model.proxy import LONGEST as PROXY_LONGEST

INT64: Final = (1 << 63) - 1
"""The largest number that SQLite stores."""


def _text(**schema: Any) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", **schema})


_NUMBER: Final = r"[^@]*[0-9][^@]*"
"""A phone number as people write it, in any digits and with any separators; the core says what is none."""
_PLAIN: Final = r"^[^\u0000-\u001f\u007f-\u00a0]*\S[^\u0000-\u001f\u007f-\u00a0]*$"

_NEW_ID: Final = r"^(?!import$)[a-z0-9][a-z0-9-]{0,62}$"


def _check_new_id(text: str) -> str:
    if re.fullmatch(_NEW_ID.removesuffix("$"), text) is None:
        message = "1 to 63 of a-z, 0-9 and -, not beginning with -, and not import, which is a call"
        raise ValueError(message)
    return text


NewId = Annotated[str, AfterValidator(_check_new_id), _text(pattern=_NEW_ID)]
"""The id of a bot to be made."""
Name = Annotated[str, _text(pattern=_PLAIN, minLength=1, maxLength=100)]
DeviceName = Annotated[str, _text(pattern=_PLAIN, minLength=1, maxLength=50)]
Phone = Annotated[str, _text(pattern=rf"^{_NUMBER}$", minLength=5, maxLength=NUMBER_LONGEST)]
Country = Annotated[str, _text(pattern="^[A-Za-z]{2}$")]
Digits = Annotated[str, Field(pattern=r"^\+?[0-9]{5,20}$")]
"""Of a virtual phone: the sandbox takes any."""
RECIPIENT: Final = {
    "pattern": rf"^\s*({_NUMBER}|[0-9]+(:[0-9]+)?@(s\.whatsapp\.net|c\.us|lid)|[0-9]+(-[0-9]+)?@g\.us)\s*$",
    "minLength": 5,
    "maxLength": NUMBER_LONGEST,
}
Recipient = Annotated[str, _text(**RECIPIENT)]
ProxyUrl = Annotated[str, _text(pattern=r"^\s*(http|socks5h?)://\S+:[0-9]+/?\s*$", maxLength=PROXY_LONGEST)]
NewPassphrase = Annotated[str, _text(minLength=12)]
VerificationText = Annotated[
    str, Field(pattern=r"^[1-9A-HJ-NP-TV-Za-hj-np-tv-z]{4}-?[1-9A-HJ-NP-TV-Za-hj-np-tv-z]{4}$")
]
"""The code that both sides of a pairing with a passkey show; base32 without the letters that look like others."""
Base64 = Annotated[str, _text(pattern="^[A-Za-z0-9+/]+={0,2}$", contentEncoding="base64")]

WebhookUrl = Annotated[str, _text(format="uri", pattern=r"^https?://[^\s/?#@]+([/?#]\S*)?$", maxLength=2048)]
Description = Annotated[str, _text(maxLength=500)]
Secret = Annotated[str, _text(pattern=rf"^{signing.SECRET}[A-Za-z0-9+/]{{32,86}}={{0,2}}$")]
EventPattern = Annotated[str, _text(enum=sorted(validation.known_patterns()))]
EventPatterns = Annotated[list[EventPattern], Field(json_schema_extra={"minItems": 1})]
BotIds = Annotated[list[str], Field(json_schema_extra={"minItems": 1})]
Headers = Annotated[
    dict[str, str],
    Field(json_schema_extra={"maxProperties": 20, "propertyNames": {"pattern": r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$"}}),
]
Timeout = Annotated[float, Field(ge=validation.TIMEOUTS[0], le=validation.TIMEOUTS[1])]
ClientErrorAttempts = Annotated[
    int, Field(ge=validation.CLIENT_ERROR_ATTEMPTS[0], le=validation.CLIENT_ERROR_ATTEMPTS[1])
]
WebhookFormat = Annotated[str, _text(enum=sorted(RENDERERS))]
Concurrency = Annotated[int, Field(ge=1, le=validation.CONCURRENCY_MOST)]

Position = Annotated[int, Field(ge=0, le=INT64)]
"""A place in the journal."""

TYPES: Final = sorted({*EventType, *(f"{kind.split('.')[0]}.*" for kind in EventType)})
"""Types and families of events."""
