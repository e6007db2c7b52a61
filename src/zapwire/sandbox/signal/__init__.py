"""The Signal protocol as WhatsApp uses it, for the sandbox's virtual phones."""
