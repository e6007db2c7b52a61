from tests.api.conftest import chromium, page

__all__ = ["chromium", "page"]
