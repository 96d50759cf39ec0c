"""Keeps a directory at the registry's present end, by reading the registry's stream from its beginning."""

import asyncio
from collections.abc import Sequence
from typing import Never

import msgspec
import structlog

from relais.chassis.access.directory import Directory
from relais.clock import Clock
from relais.contracts import UnknownTag, decode
from relais.contracts.subjects import PARTITIONS
from relais.transport.bus import Bus, BusError, Delivered, Subscription

REGISTRY_LOG = "registry"
FETCH_MAXIMUM = 256
FETCH_WAIT_SECONDS = 5.0
RETRY_SECONDS = 1.0

_log = structlog.get_logger("relais.access")


class RegistryFollower:
    """Feeds a `Directory`. Once read, the directory stays in force whatever happens to the bus; `caught_up` says that it was read."""

    def __init__(self, bus: Bus, directory: Directory, clock: Clock) -> None:
        self._bus = bus
        self._directory = directory
        self._clock = clock
        self._position = 0
        self.caught_up = asyncio.Event()

    async def run(self) -> Never:
        """Follow until cancelled."""
        reported = False
        while True:
            try:
                await self._follow()
            except BusError as error:
                if not reported:
                    _log.warning("registry_unreadable", error=type(error).__name__)
                reported = self.caught_up.is_set()
            await self._clock.sleep(RETRY_SECONDS)

    async def _follow(self) -> Never:
        # After a loss the stream may be another one, rebuilt from the log: where to go on is asked by position, never by sequence.
        start = await self._bus.sequence_after(REGISTRY_LOG, self._position)
        target = (await self._bus.extent(REGISTRY_LOG)).last_sequence
        subscription = await self._bus.subscribe(REGISTRY_LOG, range(PARTITIONS), start)
        try:
            await self._read(subscription, start - 1, target)
        finally:
            await subscription.close()

    async def _read(self, subscription: Subscription, reached: int, target: int) -> Never:
        while True:
            if reached >= target and not self.caught_up.is_set():
                self.caught_up.set()
                _log.info("registry_read", position=self._position)
            batch = await subscription.fetch(FETCH_MAXIMUM, FETCH_WAIT_SECONDS)
            self._apply(batch)
            reached = batch[-1].sequence if batch else max(reached, target if subscription.backlog == 0 else reached)

    def _apply(self, batch: Sequence[Delivered]) -> None:
        for delivered in batch:
            announcement = delivered.announcement
            # A rebuilt stream repeats what was folded already; folding it again would revive what was revoked since.
            if announcement.position <= self._position:
                continue
            self._position = announcement.position
            try:
                known = self._directory.evolve(decode(announcement.tag, announcement.payload))
            except (UnknownTag, msgspec.DecodeError):
                known = False
            if not known:
                _log.warning("registry_fact_unknown", tag=announcement.tag, position=announcement.position)
