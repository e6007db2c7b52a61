"""axe-core in a page: what keeps people out who see, hear or point differently."""

from __future__ import annotations

import importlib.resources
import json

from playwright.async_api import Page

_AXE = importlib.resources.files("axe_playwright_python").joinpath("axe.min.js").read_text("utf-8")


async def axe_faults(page: Page) -> list[str]:
    """Violations in what the page shows now: rule and elements."""
    await page.evaluate(_AXE)  # not as a <script>, which the pages' policy forbids
    found = await page.evaluate("axe.run().then((result) => result.violations)")
    return [f"{one['id']}: {json.dumps([node['target'] for node in one['nodes']])}" for one in found]
