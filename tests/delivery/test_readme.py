"""Attacks the README: what it tells a partner to do must verify what we really send, and refuse what we did not."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from relais.testing.connector_suite import Parcel
from tests.conftest import PROJECT
from tests.delivery.test_https_connector import SIGNING, HttpsPlace, authority, place

__all__ = ["authority", "place"]

Verify = Callable[[str, str, dict[str, str], bytes, bytes], None]


@pytest.fixture
def verify() -> Verify:
    """The function of the README, as it stands there."""
    text = (PROJECT / "services" / "delivery" / "README.md").read_text()
    (code,) = [block for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "def verify" in block]
    found: dict[str, Any] = {}
    exec(compile(code, "README.md", "exec"), found)
    verify: Verify = found["verify"]
    return verify


async def test_the_example_believes_what_we_send_and_nothing_else(place: HttpsPlace, verify: Verify, tmp_path: Path) -> None:
    await place.deliver(Parcel(b"<letter/>"))
    (entry,) = place.partner.received()
    url = f"https://localhost:{place.world.port}/lab"
    verify("POST", url, entry.headers, b"<letter/>", SIGNING)
    later = entry.headers["signature-input"].replace("created=1", "created=2")
    forgeries: list[tuple[str, dict[str, str], bytes, bytes]] = [
        (url, entry.headers, b"<other/>", SIGNING),
        (url + "x", entry.headers, b"<letter/>", SIGNING),
        (url, entry.headers, b"<letter/>", b"x" * 32),
        (url, {**entry.headers, "idempotency-key": '"another"'}, b"<letter/>", SIGNING),
        (url, {**entry.headers, "relais-recipient": "another"}, b"<letter/>", SIGNING),
        (url, {name: value for name, value in entry.headers.items() if name != "relais-recipient"}, b"<letter/>", SIGNING),
        (url, {**entry.headers, "signature-input": later}, b"<letter/>", SIGNING),
    ]
    for address, headers, body, secret in forgeries:
        with pytest.raises(ValueError, match="the "):
            verify("POST", address, headers, body, secret)
