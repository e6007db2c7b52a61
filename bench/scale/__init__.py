"""Many bots in one daemon: `make scale` and `make soak`. Not in CI: they take minutes to hours."""
