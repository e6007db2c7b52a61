"""Pairing with a client of our own, in this process: it can answer a passkey, which the engine cannot.

It does what the engine does (whatsmeow: handshake.go, pair.go, pair-code.go, pair-passkey.go), field by field: the
vectors in tests/wire are the engine's. What it leaves behind is the device row that the engine logs in with.
"""
