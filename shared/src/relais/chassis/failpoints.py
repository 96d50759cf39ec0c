"""Named places where a test can kill or stop the process: `RELAIS_FAILPOINTS="relay.after_publish=kill@3;lease.after_acquired=pause"`.

`kill` is SIGKILL to oneself: nothing is flushed, no finally runs. `pause` is SIGSTOP: the whole process, its clock's watchers
included, sleeps until somebody sends SIGCONT, as a paused virtual machine does. `@n` means the n-th time the place is
reached; without it, the first. Off, a place costs one look-up in an empty dictionary.

`RELAIS_FAILPOINTS="file:/path"` names a file of such orders instead. It is read at the start and at each SIGUSR1, so that a running
process can be armed, and removed once it was obeyed: an order is for one process and one time.
"""

import os
import signal
from enum import StrEnum
from pathlib import Path

from relais.chassis.refusal import StartRefused


class Failpoint(StrEnum):
    """Every place that can be named."""

    INTAKE_BEFORE_APPEND = "intake.before_append"
    INTAKE_AFTER_APPEND = "intake.after_append"
    INTAKE_AFTER_STAGE = "intake.after_stage"
    RELAY_BEFORE_PUBLISH = "relay.before_publish"
    RELAY_AFTER_PUBLISH = "relay.after_publish"
    CONSUMER_BEFORE_APPEND = "consumer.before_append"
    CONSUMER_AFTER_APPEND = "consumer.after_append"
    LEASE_AFTER_ACQUIRED = "lease.after_acquired"
    LEASE_BEFORE_RENEWED = "lease.before_renewed"
    DISPATCHER_AFTER_ATTEMPTED = "dispatcher.after_attempted"
    DISPATCHER_AFTER_CALL = "dispatcher.after_call"
    DISPATCHER_AFTER_OUTCOME = "dispatcher.after_outcome"


class FailpointsRefused(StartRefused):
    """RELAIS_FAILPOINTS cannot be read; the message says which part."""


ORDERS_FILE = "file:"

_SIGNALS = {"kill": signal.SIGKILL, "pause": signal.SIGSTOP}
_armed: dict[Failpoint, tuple[signal.Signals, int]] = {}


def arm(text: str) -> None:
    """Arm the failpoints that the text, or the file it names, orders; an empty text disarms all. Raises `FailpointsRefused`."""
    if not text.startswith(ORDERS_FILE):
        _arm(text)
        return
    orders = Path(text.removeprefix(ORDERS_FILE))
    _obey(orders)
    signal.signal(signal.SIGUSR1, lambda _number, _frame: _obey(orders))


def _obey(orders: Path) -> None:
    try:
        text = orders.read_text("ascii").strip()
    except FileNotFoundError:
        return
    _arm(text)
    orders.unlink()


def _arm(text: str) -> None:
    armed: dict[Failpoint, tuple[signal.Signals, int]] = {}
    for part in filter(None, (piece.strip() for piece in text.split(";"))):
        name, _, action = part.partition("=")
        word, _, times = action.partition("@")
        if name not in tuple(Failpoint) or word not in _SIGNALS or not (times or "1").isdecimal() or int(times or "1") < 1:
            raise FailpointsRefused(f"{part!r} is not NAME=kill or NAME=pause, perhaps @N; names: {', '.join(Failpoint)}")
        armed[Failpoint(name)] = (_SIGNALS[word], int(times or "1"))
    _armed.clear()
    _armed.update(armed)


def reach(place: Failpoint) -> None:
    """Say that a place was reached."""
    if _armed and place in _armed:
        _fire(place)


def _fire(place: Failpoint) -> None:
    what, times = _armed[place]
    if times > 1:
        _armed[place] = (what, times - 1)
        return
    del _armed[place]
    os.kill(os.getpid(), what)
