"""Attacks the watch over one part: restarts that grow apart, a part that hangs, a log without end. Time is given, never waited for."""

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from relais.embedded.report import PartState
from relais.embedded.supervisor import (
    BACKOFF_FIRST_SECONDS,
    BACKOFF_MAXIMUM_SECONDS,
    HEALTH_SECONDS,
    STABLE_SECONDS,
    Backoff,
    Part,
    bound_log,
)
from relais.processes.errors import ProgramMissing
from relais.processes.running import RunningProcess

KILL_TIMEOUT_SECONDS = 10.0


def state_of(part: Part) -> PartState:
    """Read anew: a tick changes it behind the type checker's back."""
    return part.state


class Sleeper:
    """A real process that does nothing; the test says whether it is ready and whether it can start."""

    def __init__(self, log_file: Path) -> None:
        self.ready = False
        self.missing = False
        self._log_file = log_file
        self._running: RunningProcess | None = None

    @property
    def running(self) -> RunningProcess | None:
        return self._running

    def launch(self) -> RunningProcess:
        if self.missing:
            raise ProgramMissing("The program is gone.", "Run `make setup`.")
        self._running = RunningProcess("sleeper", subprocess.Popen(["sleep", "600"]), self._log_file)
        return self._running

    def is_ready(self) -> bool:
        return self.ready

    def stop(self) -> None:
        self.die()
        self._running = None

    def die(self) -> None:
        if self._running is not None:
            self._running.stop(signal.SIGKILL, KILL_TIMEOUT_SECONDS)


@pytest.fixture
def sleeper(tmp_path: Path) -> Iterator[Sleeper]:
    sleeper = Sleeper(tmp_path / "log")
    yield sleeper
    sleeper.stop()


def test_the_wait_before_a_restart_doubles_up_to_a_limit_and_is_forgotten_after_a_stable_while() -> None:
    backoff = Backoff()
    waits = [backoff.after(lived_seconds=1.0) for _ in range(10)]
    assert waits[:3] == [BACKOFF_FIRST_SECONDS, 2 * BACKOFF_FIRST_SECONDS, 4 * BACKOFF_FIRST_SECONDS]
    assert waits[-1] == BACKOFF_MAXIMUM_SECONDS
    assert backoff.after(lived_seconds=STABLE_SECONDS) == BACKOFF_FIRST_SECONDS


def test_a_part_that_died_is_started_again_only_after_its_wait(sleeper: Sleeper, tmp_path: Path) -> None:
    part = Part("sleeper", sleeper, tmp_path / "log")
    part.launch(now=0.0)
    sleeper.ready = True
    assert part.tick(1.0)
    assert state_of(part) is PartState.READY
    sleeper.die()
    assert part.tick(2.0)
    assert state_of(part) is PartState.WAITING
    assert part.report().pid is None
    assert "status -9" in part.report().said
    assert not part.tick(2.0 + BACKOFF_FIRST_SECONDS / 2)
    assert part.tick(2.0 + BACKOFF_FIRST_SECONDS)
    assert (state_of(part), part.restarts) == (PartState.STARTING, 1)
    assert part.tick(3.0)
    assert (state_of(part), part.said) == (PartState.READY, "")


def test_a_part_that_hangs_is_told_of_and_left_alone(sleeper: Sleeper, tmp_path: Path) -> None:
    part = Part("sleeper", sleeper, tmp_path / "log")
    part.launch(now=0.0)
    sleeper.ready = True
    part.tick(0.0)
    pid = part.report().pid
    sleeper.ready = False
    assert not part.tick(HEALTH_SECONDS / 2), "health is not asked at every tick"
    assert part.tick(HEALTH_SECONDS)
    assert state_of(part) is PartState.UNREADY
    assert part.report().pid == pid
    sleeper.ready = True
    assert part.tick(2 * HEALTH_SECONDS)
    assert (state_of(part), part.restarts) == (PartState.READY, 0)


def test_a_part_whose_program_is_gone_is_tried_again_and_says_so(sleeper: Sleeper, tmp_path: Path) -> None:
    part = Part("sleeper", sleeper, tmp_path / "log")
    part.launch(now=0.0)
    sleeper.die()
    sleeper.missing = True
    part.tick(1.0)
    part.tick(2.0)
    assert state_of(part) is PartState.WAITING
    assert "make setup" in part.said
    sleeper.missing = False
    assert part.tick(2.0 + BACKOFF_MAXIMUM_SECONDS)
    assert state_of(part) is PartState.STARTING


def test_a_stopped_part_stays_stopped(sleeper: Sleeper, tmp_path: Path) -> None:
    part = Part("sleeper", sleeper, tmp_path / "log")
    part.launch(now=0.0)
    part.stop()
    assert not part.tick(100.0)
    assert (state_of(part), part.restarts) == (PartState.STOPPED, 0)


def test_a_log_stays_below_its_limit_and_its_writer_goes_on(tmp_path: Path) -> None:
    log_file = tmp_path / "part.log"
    with log_file.open("ab", buffering=0) as writer:
        writer.write(b"old\n" * 10)
        bound_log(log_file, bytes_maximum=100)
        assert log_file.stat().st_size == 40
        bound_log(log_file, bytes_maximum=39)
        writer.write(b"new\n")
    assert log_file.read_bytes() == b"new\n"
    assert (tmp_path / "part.log.1").read_bytes() == b"old\n" * 10
    bound_log(tmp_path / "absent.log")
