"""`python -m zapwire`."""

from __future__ import annotations

from zapwire.cli import main

if __name__ == "__main__":
    main()
