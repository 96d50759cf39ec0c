"""What every test may ask for: a real Postgres, a real nats-server, and the corpus of real-world documents."""

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from relais.testing.nats import TestNats, run_nats
from relais.testing.postgres import TestPostgres, run_postgres

# A law is broken by a value, never by a busy machine.
settings.register_profile("relais", deadline=None)
# What lands is judged on the same examples each time; people and nights look for new ones.
settings.register_profile("relais-ci", deadline=None, derandomize=True)
settings.load_profile("relais-ci" if os.environ.get("CI") else "relais")

PROJECT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def _postgres_server() -> Iterator[TestPostgres]:
    with run_postgres(fsync=os.environ.get("RELAIS_TEST_FSYNC") == "on") as server:
        yield server


@pytest.fixture
async def postgres(_postgres_server: TestPostgres) -> TestPostgres:
    """The session's Postgres, with the roles of the product."""
    await _postgres_server.create_roles()
    return _postgres_server


@pytest.fixture
async def postgres_database(postgres: TestPostgres) -> AsyncIterator[str]:
    """Superuser DSN of an empty database of this test's own."""
    async with postgres.database() as name:
        yield postgres.dsn(name)


@pytest.fixture(scope="session")
def nats_server() -> Iterator[TestNats]:
    """The session's nats-server with JetStream; use stream names of your own."""
    with run_nats() as server:
        yield server


@pytest.fixture(scope="session")
def corpus() -> Path:
    """The folder of real-world documents; the test is skipped, visibly, where it is absent."""
    folder = Path(os.environ.get("CORPUS_DIR") or PROJECT.parent / "shared" / "corpus")
    if not (folder / "cda").is_dir():
        pytest.skip("the corpus is not on this machine: set CORPUS_DIR")
    return folder
