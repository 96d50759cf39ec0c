"""One whole stack for all journeys: two replicas of every service, real Postgres, nats-server and TLS, partners that are programs."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from relais.embedded.stack import Stack
from relais.embedded.state import StateFolder
from tests.journey.hospital import Hospital, found

REPLICAS = 2


@pytest.fixture(scope="session")
def journey_stack() -> Iterator[Stack]:
    """A stack that is up, every submission traced into one file; the folder is removed afterwards."""
    # A folder that every user may enter, as pytest's own are not: Postgres does not run as root.
    folder = Path(tempfile.mkdtemp(prefix="relais-journey-"))
    folder.chmod(0o755)
    kept = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith(("RELAIS_", "REPLICAS"))}
    stack = Stack(StateFolder(folder / "state"))
    try:
        stack.state.root.mkdir()
        stack.up(
            replicas=REPLICAS,
            environment={"RELAIS_TRACE_SAMPLE": "1", "RELAIS_TRACE_FILE": str(trace_file(stack)), "RELAIS_LOG_LEVEL": "debug"},
        )
        yield stack
    finally:
        stack.down()
        os.environ.update(kept)
        shutil.rmtree(folder, ignore_errors=True)


def trace_file(stack: Stack) -> Path:
    """Where all services write their spans."""
    return stack.state.root / "traces.jsonl"


@pytest.fixture
async def hospital(journey_stack: Stack) -> Hospital:
    """The hospital that most journeys begin in."""
    return await found(journey_stack, "chu-a")
