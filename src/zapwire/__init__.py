"""zapwire: a self-hosted WhatsApp Web connector daemon."""

__version__ = "0.1.0"
