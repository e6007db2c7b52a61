"""Pairing with the engine: it runs in a process of its own, which is killed afterwards (docs/engine.md's E3)."""
