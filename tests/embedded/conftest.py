"""A stack of real servers and stand-in services, in a folder that every user may enter."""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from relais.embedded.stack import Stack
from relais.embedded.state import StateFolder

STAND_IN = Path(__file__).with_name("stand_in.py")
PROGRAMS = ("sandbox", "identity", "ingestion", "routing", "delivery")


@pytest.fixture
def home() -> Iterator[Path]:
    """An empty folder for a state folder, open to all on its way, as pytest's own are not."""
    folder = Path(tempfile.mkdtemp(prefix="relais-home-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def programs(home: Path) -> Path:
    """A folder with a stand-in for each program."""
    folder = home / "programs"
    folder.mkdir()
    for name in PROGRAMS:
        program = folder / f"relais-{name}"
        program.write_text(f"#!{sys.executable}\n{STAND_IN.read_text()}")
        program.chmod(0o755)
    return folder


@pytest.fixture
def stack(home: Path, programs: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stack]:
    """A stack that is down; whatever a test starts on it is stopped."""
    for name in [name for name in os.environ if name.startswith(("RELAIS_", "REPLICAS"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("RELAIS_PROGRAMS", str(programs))
    stack = Stack(StateFolder(home / "state"))
    yield stack
    stack.down()
