"""One stack for all faults of a run: what each of them leaves behind is what the next one meets."""

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from random import Random, SystemRandom

import pytest

from relais.embedded.certificates import Pair
from relais.eventlog.postgres import open_pool
from tests.faults.arena import Arena
from tests.faults.figures import Figures
from tests.faults.journal import LOGS, Journal
from tests.faults.ledger import Ledger
from tests.faults.scene import Scene
from tests.faults.senders import PARTNERS, client, establish

LONG = os.environ.get("RELAIS_FAULTS") == "long"
FIGURES = pytest.StashKey[Figures]()


def pytest_configure(config: pytest.Config) -> None:
    """Chances are drawn from one seed, which is shown, and can be given: RELAIS_FAULTS_SEED."""
    config.stash[FIGURES] = Figures(int(os.environ.get("RELAIS_FAULTS_SEED") or SystemRandom().randrange(1_000_000)))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """How long each fault was felt."""
    figures = config.stash[FIGURES]
    if figures.rows:
        terminalreporter.section("faults")
        for line in figures.table():
            terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def arena() -> Iterator[Arena]:
    """A stack that is up, in a folder that every user may enter; its logs are kept when RELAIS_FAULTS_KEEP names a folder."""
    home = Path(tempfile.mkdtemp(prefix="relais-faults-"))
    home.chmod(0o755)
    arena = Arena(home)
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith(("RELAIS_", "REPLICAS")) and not name.startswith("RELAIS_FAULTS")]:
            patch.delenv(name)
        try:
            arena.up()
            yield arena
        finally:
            arena.stack.down()
            if keep := os.environ.get("RELAIS_FAULTS_KEEP"):
                shutil.copytree(arena.state.logs, keep, dirs_exist_ok=True)
            shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="session")
def chance(request: pytest.FixtureRequest) -> Random:
    """Who is hit, and when."""
    return Random(request.config.stash[FIGURES].seed)


@pytest.fixture(scope="session")
def memory(arena: Arena) -> tuple[Ledger, Journal]:
    """What was sent, seen and recorded since the stack is up; the senders are known from here on."""
    pair = Pair(arena.state.certificates / "client-demo-sender.pem", arena.state.certificates / "client-demo-sender.key")
    asyncio.run(establish(arena, pair.fingerprint()))
    return Ledger(), Journal()


@pytest.fixture
async def scene(arena: Arena, memory: tuple[Ledger, Journal], chance: Random, request: pytest.FixtureRequest) -> AsyncIterator[Scene]:
    """The stage of one test. Its stack is whole when it begins."""
    await arena.ready()
    scene = Scene(arena, *memory, request.config.stash[FIGURES], chance)
    async with (
        client(arena, "demo-sender") as sender,
        client(arena, "operator") as operator,
        await open_pool(arena.dsn(), connections_maximum=4, application="faults") as pool,
    ):
        scene.open(pool, sender)
        auditors = [asyncio.create_task(scene.follow(operator, log)) for log in LOGS]
        yield scene
        # A test that failed leaves nothing asleep and nobody sick to the next one.
        arena.wake()
        for partner in PARTNERS.values():
            await scene.outside.behave(partner)
        for auditor in auditors:
            auditor.cancel()
        for outcome in await asyncio.gather(*auditors, return_exceptions=True):
            assert isinstance(outcome, asyncio.CancelledError), outcome
