"""One run of one process: owns what was opened, every task, and the order in which all of it ends."""

import asyncio
import gc
import signal
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Any, TypeVar

import structlog

from relais.chassis import logs
from relais.chassis.api.health import Health
from relais.chassis.config import Config
from relais.chassis.metrics import Metrics, MetricsServer
from relais.chassis.refusal import StartRefused
from relais.chassis.tracing import Tracing
from relais.clock import Clock, SystemClock

# Together below the 40 s after which a launcher insists and the 60 s of a pod.
DRAIN_SECONDS_MAXIMUM = 25.0
CLOSE_SECONDS_MAXIMUM = 10.0
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)

# Allocations not freed, before Python looks for cycles among the young; then how many such looks before it goes through older ones. Its
# own 700, 10 and 10 cost a tenth of all CPU here: most of what a batch allocates lives until the batch is over, and hardly any is a cycle.
GC_THRESHOLDS = (25_000, 20, 50)

T = TypeVar("T")
Drain = Callable[[], Awaitable[object]]

_log = structlog.get_logger("relais.run")


class PartEnded(Exception):
    """A part of the process returned although nobody asked it to stop."""


class Run:
    """What `build` of a service is given. Everything in here ends in the reverse of the order in which it was added."""

    def __init__(self, config: Config, metrics: Metrics, tracing: Tracing, clock: Clock | None = None) -> None:
        self.config = config
        self.clock = clock or SystemClock()
        self.metrics = metrics
        self.tracing = tracing
        self.health = Health(config.health_listen, self.clock, metrics)
        self._stack = AsyncExitStack()
        self._group = asyncio.TaskGroup()
        self._tasks: list[asyncio.Task[object]] = []
        self._drains: list[tuple[str, Drain]] = []
        self._asked_to_stop = asyncio.Event()

    async def enter(self, resource: AbstractAsyncContextManager[T]) -> T:
        """Open something that is closed when the run ends."""
        return await self._stack.enter_async_context(resource)

    def on_close(self, close: Callable[[], Awaitable[object]]) -> None:
        """Close something when the run ends."""
        self._stack.push_async_callback(close)

    def on_drain(self, name: str, drain: Drain) -> None:
        """Finish something when the process is asked to stop, while every task still runs."""
        self._drains.append((name, drain))

    def spawn(self, name: str, work: Coroutine[Any, Any, object]) -> None:
        """Run a part until the process stops. A part that ends before, in whatever way, ends the process."""
        self._tasks.append(self._group.create_task(self._own(name, work), name=name))

    def spawn_drained(self, name: str, work: Coroutine[Any, Any, object], drain: Drain) -> None:
        """Run a part that ends in good order when it is drained, and only then."""

        async def last() -> None:
            await work
            if not self._asked_to_stop.is_set():
                raise PartEnded(name)
            # The run's other parts go on until all drains are done.
            await asyncio.get_running_loop().create_future()

        self.on_drain(name, drain)
        self.spawn(name, last())

    def stop(self) -> None:
        """Ask the run to end in good order, as SIGTERM does."""
        self._asked_to_stop.set()

    async def live(self, build: Callable[["Run"], Awaitable[None]]) -> None:
        """Build, serve until asked to stop, drain, close. Raises what broke, after closing."""
        async with self._group:
            try:
                await self.health.start()
                await self._unless_stopped(build(self))
                _settle_memory()
                self.spawn("health", self.health.run())
                await self._asked_to_stop.wait()
                await self._drain()
            finally:
                for task in reversed(self._tasks):
                    task.cancel()
                await asyncio.shield(self._close())

    async def _own(self, name: str, work: Coroutine[Any, Any, object]) -> None:
        try:
            await work
            raise PartEnded(name)
        except Exception as error:
            _log.error("task_died", task=name, **logs.error_fields(error))
            raise

    async def _unless_stopped(self, building: Awaitable[None]) -> None:
        """Build, unless the process is asked to stop meanwhile."""
        build = asyncio.ensure_future(building)
        stopped = asyncio.ensure_future(self._asked_to_stop.wait())
        try:
            await asyncio.wait({build, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if build.done():
                build.result()
        finally:
            build.cancel()
            stopped.cancel()
            await asyncio.gather(build, stopped, return_exceptions=True)

    async def _drain(self) -> None:
        _log.info("service_draining")
        await self.health.drain()
        try:
            async with asyncio.timeout(DRAIN_SECONDS_MAXIMUM):
                for name, drain in reversed(self._drains):
                    await self._finish(name, drain)
        except TimeoutError:
            _log.warning("drain_incomplete", seconds=DRAIN_SECONDS_MAXIMUM)

    async def _finish(self, name: str, drain: Drain) -> None:
        try:
            await drain()
        except TimeoutError:
            raise
        except Exception as error:  # noqa: BLE001 - one part that fails to finish must not keep the others from finishing.
            _log.warning("close_failed", task=name, **logs.error_fields(error))

    async def _close(self) -> None:
        await asyncio.gather(*self._tasks, return_exceptions=True)
        try:
            async with asyncio.timeout(CLOSE_SECONDS_MAXIMUM):
                await self._stack.aclose()
                await self.health.stop()
        except Exception as error:  # noqa: BLE001 - the process ends in any case, and nothing in it was acknowledged.
            _log.warning("close_failed", **logs.error_fields(error))


def _settle_memory() -> None:
    """What was built stays until the process ends: the collector need never look at it again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)


async def serve(config: Config, build: Callable[[Run], Awaitable[None]], version: str) -> None:
    """The whole life of a serving process. Raises `StartRefused`, or an exception group of what broke."""
    logs.watch_loop(asyncio.get_running_loop())
    metrics = Metrics()
    metrics.gauge("relais_build_info", config.service, version).set(1)
    try:
        metrics_server = MetricsServer(metrics, config.metrics_listen)
    except OSError:
        raise StartRefused(f"cannot listen on {config.metrics_listen} (RELAIS_METRICS_LISTEN)") from None
    tracing = Tracing.start(config.service, config.replica, config.telemetry)
    run = Run(config, metrics, tracing)
    loop = asyncio.get_running_loop()
    for number in STOP_SIGNALS:
        loop.add_signal_handler(number, run.stop)
    try:
        await run.live(build)
    finally:
        for number in STOP_SIGNALS:
            loop.remove_signal_handler(number)
        tracing.close()
        metrics_server.close()
