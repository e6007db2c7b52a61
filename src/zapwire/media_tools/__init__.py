"""Converting and inspecting media. Decoders take hostile input, so they run in child processes with limits."""
