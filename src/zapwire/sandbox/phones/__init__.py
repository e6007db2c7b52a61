"""Virtual phones: accounts whose phone (device 0) is played by the sandbox, with real Signal sessions."""
