"""Attacks what the services stand on, under load: the record stops at once, the transport dies, or is deleted and must be rebuilt."""

import shutil
import signal
from typing import Final

import pytest

from tests.faults.conftest import LONG
from tests.faults.scene import Scene

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]

ROUNDS: Final = 3 if LONG else 1


@pytest.mark.parametrize("number", range(ROUNDS))
async def test_a_killed_nats_server_loses_nothing(scene: Scene, number: int) -> None:
    async with scene.under_load(f"kill -9 nats-server ({number + 1})") as round_:
        before = scene.arena.pid("nats-server")
        scene.arena.stack.signal("nats-server", signal.SIGKILL)
        round_.struck()
        await scene.arena.restarted("nats-server", before)


@pytest.mark.parametrize("number", range(ROUNDS))
async def test_a_postgres_that_stops_at_once_loses_nothing(scene: Scene, number: int) -> None:
    async with scene.under_load(f"SIGQUIT postgres ({number + 1})") as round_:
        before = scene.arena.pid("postgres")
        # Immediate shutdown: no checkpoint, no goodbye; the next start recovers from the write-ahead log.
        scene.arena.stack.signal("postgres", signal.SIGQUIT)
        round_.struck()
        await scene.arena.restarted("postgres", before)


@pytest.mark.parametrize("number", range(ROUNDS))
async def test_a_deleted_jetstream_is_rebuilt_and_nothing_happens_twice(scene: Scene, number: int) -> None:
    async with scene.under_load(f"JetStream's folder deleted ({number + 1})") as round_:
        before = scene.arena.pid("nats-server")
        shutil.rmtree(scene.arena.state.nats / "jetstream", ignore_errors=True)
        scene.arena.stack.signal("nats-server", signal.SIGKILL)
        round_.struck()
        await scene.arena.restarted("nats-server", before)
