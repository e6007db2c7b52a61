"""zapwire, neonize alone and a small Baileys server, side by side against the same sandbox."""
