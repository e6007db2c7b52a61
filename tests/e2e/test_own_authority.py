"""A receiver whose certificate comes from an authority of one's own (docs/operating.md)."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import pytest

from tests.core.receiver import receiver
from tests.harness.daemon import Daemon
from zapwire.sandbox.server.state.certificate_authority import Authority


@pytest.mark.parametrize("trusted", [True, False])
async def test_it_is_trusted_when_it_is_in_the_bundle_that_the_variable_names(tmp_path: Path, trusted: bool) -> None:
    authority, bundle = Authority.generate(), tmp_path / "bundle.pem"
    system = Path(ssl.get_default_verify_paths().cafile or "/etc/ssl/certs/ca-certificates.crt").read_bytes()
    bundle.write_bytes(system + (authority.certificate if trusted else b""))
    async with (
        receiver(tls=authority.server_context("127.0.0.1")) as hook,
        Daemon(tmp_path, SSL_CERT_FILE=str(bundle)) as daemon,
    ):
        made = await daemon.call("POST", "/v1/webhooks", {"url": hook.url, "events": ["bot.state"]})
        answer: dict[str, Any] = await daemon.call("POST", f"/v1/webhooks/{made['id']}/test")
        assert (answer["error"] is None) == trusted
        assert trusted or "certificate is not trusted" in answer["error"]
        assert len(hook.got) == trusted
