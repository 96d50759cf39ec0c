"""What every dispatcher of a replica shares."""

from collections.abc import Callable
from dataclasses import dataclass

from relais.clock import Clock
from relais.delivery.dispatcher.loading import Loader
from relais.delivery.dispatcher.recorder import Recorder
from relais.delivery.ports import WorkQueue
from relais.eventlog.log import EventLog
from relais.transport.meters import Meters


@dataclass(frozen=True, slots=True)
class Tools:
    """`chance` draws from [0, 1)."""

    log: EventLog
    queue: WorkQueue
    loader: Loader
    recorder: Recorder
    clock: Clock
    meters: Meters
    chance: Callable[[], float]
