"""What every message that is sent may have besides its content."""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import AwareDatetime, Field, field_validator

from zapwire.api.http.models import Body
from zapwire.core.messages.send_options import SendOptions
from zapwire.model.messages import Notes
from zapwire.runtime.json_encoder import encode_bytes

METADATA: Final = 4096
"""Bytes of JSON."""
DEPTH: Final = 8


class Options(Body):
    """When a message is sent, and what is noted with it."""

    send_at: AwareDatetime | None = Field(
        None, description="Send it then, at most a year ahead; a moment that has passed: at once."
    )
    deadline: AwareDatetime | None = Field(
        None,
        description="When it is too late to send it: it is `expired` then. Without it a day after `send_at` or now.",
    )
    client_ref: Annotated[str, Field(min_length=1, max_length=256)] | None = Field(
        None, description="Yours; told again with the message and its events."
    )
    metadata: dict[str, Any] | None = Field(
        None, description="Yours, as `client_ref`: an object of at most 4096 bytes of JSON, nested at most 8 deep."
    )

    @field_validator("metadata")
    @classmethod
    def _is_small(cls, value: dict[str, Any] | None) -> dict[str, Any] | None:
        if value is not None and (_depth(value) > DEPTH or len(encode_bytes(value)) > METADATA):
            message = f"more than {METADATA} bytes of JSON, or nested deeper than {DEPTH}"
            raise ValueError(message)
        return value

    def send_options(self) -> SendOptions:
        """As the core takes it."""
        return SendOptions(self.send_at, self.deadline, Notes(self.client_ref, self.metadata))


class Reschedule(Body):
    """Another moment for a scheduled message."""

    send_at: AwareDatetime = Field(description="At most a year ahead; a moment that has passed: at once.")


def _depth(value: Any, level: int = 1) -> int:
    """How deep it is nested; stops counting when that is too deep."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return level if level > DEPTH else max((_depth(one, level + 1) for one in inner), default=level)
