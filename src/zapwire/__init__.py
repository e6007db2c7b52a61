"""zapwire: a self-hosted WhatsApp Web connector daemon."""

__version__ = "0.2.0"
