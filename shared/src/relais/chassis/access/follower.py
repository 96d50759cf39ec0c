"""Keeps a directory at the registry's present end: the registry's whole log in the memory of every replica."""

from collections.abc import Sequence

import msgspec
import structlog

from relais.chassis.access.directory import Directory
from relais.clock import Clock
from relais.contracts import UnknownTag, decode
from relais.transport.broadcast import BroadcastReader
from relais.transport.bus import Bus, Delivered
from relais.transport.progress import Progress

REGISTRY_LOG = "registry"

_log = structlog.get_logger("relais.access")


def follow_registry(name: str, bus: Bus, progress: Progress, directory: Directory, clock: Clock) -> BroadcastReader:
    """A reader that feeds `directory`; run it in a task of its own. `name` is this reader's own.

    Once read, the directory stays in force whatever happens to the bus. A rebuilt stream is not folded again: that would revive
    what was revoked since.
    """

    def apply(batch: Sequence[Delivered]) -> None:
        for delivered in batch:
            announcement = delivered.announcement
            try:
                known = directory.evolve(decode(announcement.tag, announcement.payload))
            except (UnknownTag, msgspec.DecodeError):
                known = False
            if not known:
                _log.warning("registry_fact_unknown", tag=announcement.tag, position=announcement.position)

    return BroadcastReader(name, REGISTRY_LOG, bus, progress, apply, clock)
