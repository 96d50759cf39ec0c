"""Attacks the failpoints: they do what their name says to a real process, and nothing when they are off."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from relais.chassis import failpoints
from relais.chassis.failpoints import Failpoint, FailpointsRefused

PROGRAM = """
import sys
from relais.chassis.failpoints import Failpoint, arm, reach
arm(sys.argv[1])
for number in range(3):
    reach(Failpoint.RELAY_AFTER_PUBLISH)
    print(number, flush=True)
"""


def start(text: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", PROGRAM, text], stdout=subprocess.PIPE, text=True)


def test_kill_ends_the_process_where_it_stands() -> None:
    with start("relay.after_publish=kill@2") as process:
        said, _ = process.communicate(timeout=30)
    assert process.returncode == -signal.SIGKILL
    assert said.split() == ["0"]


def test_pause_stops_the_process_until_somebody_continues_it() -> None:
    with start("relay.after_publish=pause; lease.after_acquired=kill") as process:
        _, status = os.waitpid(process.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status)
        process.send_signal(signal.SIGCONT)
        said, _ = process.communicate(timeout=30)
    assert said.split() == ["0", "1", "2"]


def test_off_nothing_happens() -> None:
    failpoints.arm("")
    for place in Failpoint:
        failpoints.reach(place)


@pytest.mark.parametrize(
    "text",
    ["nowhere=kill", "relay.after_publish", "relay.after_publish=explode", "relay.after_publish=kill@0", "relay.after_publish=kill@x"],
)
def test_what_cannot_be_read_is_refused_and_arms_nothing(text: str) -> None:
    with pytest.raises(FailpointsRefused):
        failpoints.arm(f"relay.after_publish=kill;{text}")
    failpoints.reach(Failpoint.RELAY_AFTER_PUBLISH)


def test_a_running_process_takes_orders_from_a_file_once(tmp_path: Path) -> None:
    orders = tmp_path / "orders"
    orders.write_text("relay.after_publish=pause")
    with start(f"file:{orders}") as process:
        _, status = os.waitpid(process.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status), "what the file says at the start is obeyed"
        assert not orders.exists(), "an order is for one process and one time"
        orders.write_text("relay.after_publish=kill\n")
        process.send_signal(signal.SIGUSR1)
        process.send_signal(signal.SIGCONT)
        said, _ = process.communicate(timeout=30)
    assert process.returncode == -signal.SIGKILL
    assert said.split() in ([], ["0"])
    assert not orders.exists()
