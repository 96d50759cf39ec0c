"""A platform for each test, and a client of it."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from relais.client.client import RelaisClient
from tests.client.platform_server import Platform, run_platform


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Platform]:
    with run_platform(tmp_path) as running:
        yield running


@pytest.fixture
async def client(platform: Platform) -> AsyncIterator[RelaisClient]:
    async with RelaisClient(platform.settings()) as connected:
        yield connected
