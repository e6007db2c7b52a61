"""PDFs: how many pages, and a picture of the first."""

from __future__ import annotations

from typing import Any, Final

import pypdfium2
import pypdfium2.raw as pdfium

from zapwire.media_tools.child import images
from zapwire.media_tools.child.fault import Fault
from zapwire.media_tools.child.request import Request
from zapwire.media_tools.faults import MediaFault

_RENDERED: Final = 200
"""Pixels of the longer side, before it is made smaller: text stays a grey line instead of vanishing."""


def inspect(request: Request) -> dict[str, Any]:
    """What is in the PDF."""
    try:
        document = pypdfium2.PdfDocument(request.source())
    except pypdfium2.PdfiumError:
        protected = pdfium.FPDF_GetLastError() == pdfium.FPDF_ERR_PASSWORD
        raise Fault(MediaFault.PROTECTED if protected else MediaFault.DAMAGED) from None
    told: dict[str, Any] = {"mime_type": "application/pdf", "pages": len(document)}
    try:
        told["thumbnail"] = _first_page(document)
    except (pypdfium2.PdfiumError, ValueError):
        told["thumbnail"] = None  # the pages are known all the same
    return {"facts": told}


def _first_page(document: pypdfium2.PdfDocument) -> bytes:
    page = document[0]
    scale = _RENDERED / max(1.0, *page.get_size())
    return images.thumbnail(page.render(scale=scale, may_draw_forms=False).to_pil())
