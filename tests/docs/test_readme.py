"""What README.md and docs/ tell people to type does work."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks import Webhook

from tests.api.conftest import TOKEN, open_api

ROOT = Path(__file__).parents[2]


def block(page: str, language: str, containing: str) -> str:
    """The code block of this language with these words in it."""
    blocks = re.findall(rf"```{language}\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)
    (found,) = [one for one in blocks if containing in one]
    return str(found)


@pytest.mark.skipif(shutil.which("curl") is None, reason="the README's commands are curl's")
async def test_the_readmes_calls(tmp_path: Path) -> None:
    async for api in open_api(tmp_path):
        script = block("README.md", "sh", "api()").replace("localhost:8080", api.url.removeprefix("http://"))
        script = script.replace("?wait=10", "?wait=0.1").replace("zw_...", TOKEN)
        bash = await asyncio.create_subprocess_exec(
            "bash", "-c", script, cwd=tmp_path, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        out, err = await bash.communicate()
        assert (bash.returncode, err) == (0, b"")
        assert (tmp_path / "qr.png").read_bytes().startswith(b"\x89PNG")
        made, seen, message, webhook, events = answers(out.decode())
        assert made["id"] == seen["id"] == message["bot"] == "shop"
        assert (message["state"], message["to"]["phone"]) == ("queued", "+4915123456789")
        assert webhook["secret"].startswith("whsec_")
        assert events["events"] == []


def answers(text: str) -> list[dict[str, Any]]:
    found, rest = [], text.lstrip()
    while rest:
        one, end = json.JSONDecoder().raw_decode(rest)
        found.append(one)
        rest = rest[end:].lstrip()
    return found


def test_the_signature_check_of_the_events_page() -> None:
    scope: dict[str, Any] = {}
    exec(block("docs/events.md", "python", "hmac"), scope)
    secret, now, body = "whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", datetime.now(UTC), '{"text":"ä"}'
    headers = {
        "webhook-id": "evt_1",
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(secret).sign("evt_1", now, body),
    }
    assert scope["verified"](secret, headers, body.encode()) == {"text": "ä"}
    for wrong in ({"webhook-id": "evt_2"}, {"webhook-signature": "v1,AAAA"}, {"webhook-timestamp": "1"}):
        with pytest.raises(PermissionError):
            scope["verified"](secret, {**headers, **wrong}, body.encode())


def test_the_links_of_the_readme_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)", (ROOT / "README.md").read_text()):
        assert (ROOT / target).exists(), target
