"""`python -m zapwire.sandbox`."""

import sys

from zapwire.sandbox.command import main

sys.exit(main())
