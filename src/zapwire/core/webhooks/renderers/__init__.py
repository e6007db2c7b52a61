"""What endpoints get: a renderer for each format. A format of another dialect is one more entry here.

A renderer is a pure function of an event of the journal. It knows nothing of endpoints, attempts or signatures: the
deliverer signs whatever it makes, and adds the headers of the delivery.
"""

from __future__ import annotations

from typing import Final

from zapwire.core.webhooks.renderers import v1
from zapwire.core.webhooks.renderers.rendered import Rendered, Renderer

__all__ = ["DEFAULT", "RENDERERS", "Rendered", "Renderer"]

DEFAULT: Final = "v1"
"""The format of an endpoint that names none."""
RENDERERS: Final[dict[str, Renderer]] = {DEFAULT: v1.render}
"""By format."""
