"""What a virtual phone cannot do, in words for whoever asked it."""

from __future__ import annotations


class PhoneError(Exception):
    """The phone cannot do that; `status` is the HTTP status under which the admin API tells it."""

    status = 409


class BadRequest(PhoneError):
    """The request itself is wrong."""

    status = 422


class UnknownPhone(PhoneError):
    """There is no such phone, device, message or group."""

    status = 404


class NotOnWhatsApp(PhoneError):
    """The number, group or channel that was addressed does not exist."""

    status = 404


class ServerRefused(PhoneError):
    """The sandbox's server answered with an error; `code` is WhatsApp's."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"the server refused: {code} {text}".rstrip())
        self.code = code
