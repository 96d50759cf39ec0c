"""Health on a port of its own, in plain text, because a kubelet shows no certificate (grpc.health.v1).

`liveness` says that the event loop turns, and nothing else: a broken database must not restart the fleet. The empty name and
`readiness` say that this process can do its work now: every probe says yes and it is not draining.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Never

import grpc.aio
import structlog
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health_aio  # type: ignore[attr-defined]  # not in the stubs

from relais.chassis.config import Address
from relais.chassis.metrics import Metrics
from relais.clock import Clock

LIVENESS = "liveness"
READINESS = "readiness"
PROBE_TIMEOUT_SECONDS = 2.0
PROBE_EVERY_SECONDS = 2.0
PROBE_EVERY_SECONDS_UNTIL_READY = 0.2

Probe = Callable[[], Awaitable[bool]]

_log = structlog.get_logger("relais.health")


class Health:
    """The health server and its probes. `run` asks the probes; without it nothing is ever ready."""

    def __init__(self, listen: Address, clock: Clock, metrics: Metrics) -> None:
        self._listen = listen
        self._clock = clock
        self._ready = metrics.gauge("relais_ready")
        self._probes: dict[str, Probe] = {}
        self._servicer = health_aio.HealthServicer()
        self._server = grpc.aio.server(options=(("grpc.so_reuseport", 0),))
        self._draining = False
        self._was_ready = False
        self.port = 0

    def add(self, name: str, probe: Probe) -> None:
        """Ask this, too. The name is a word for the log; a probe that raises or takes over 2 s says no."""
        self._probes[name] = probe

    async def start(self) -> None:
        """Listen; alive at once, ready once the probes say so."""
        await self._say(LIVENESS, serving=True)
        await self._say_ready(ready=False)
        health_pb2_grpc.add_HealthServicer_to_server(self._servicer, self._server)
        self.port = self._server.add_insecure_port(str(self._listen))
        await self._server.start()

    async def run(self) -> Never:
        """Ask the probes until cancelled."""
        while True:
            silent = await self.silent_probes()
            await self._say_ready(ready=not silent and not self._draining)
            await self._clock.sleep(PROBE_EVERY_SECONDS if self._was_ready else PROBE_EVERY_SECONDS_UNTIL_READY)

    async def silent_probes(self) -> list[str]:
        """The names of the probes that do not say yes."""
        answers = await asyncio.gather(*(self._ask(probe) for probe in self._probes.values()))
        return [name for name, answer in zip(self._probes, answers, strict=True) if not answer]

    async def drain(self) -> None:
        """Say at once, and from now on, that no work is taken."""
        self._draining = True
        await self._say_ready(ready=False)

    async def stop(self) -> None:
        """Stop listening."""
        await self._server.stop(0)

    async def _ask(self, probe: Probe) -> bool:
        try:
            async with asyncio.timeout(PROBE_TIMEOUT_SECONDS):
                return await probe()
        except Exception:  # noqa: BLE001 - whatever goes wrong in a probe is its answer.
            return False

    async def _say_ready(self, *, ready: bool) -> None:
        self._ready.set(int(ready))
        if ready and not self._was_ready:
            _log.info("service_ready")
        self._was_ready = ready
        for name in ("", READINESS):
            await self._say(name, serving=ready)

    async def _say(self, name: str, *, serving: bool) -> None:
        response = health_pb2.HealthCheckResponse
        await self._servicer.set(name, response.SERVING if serving else response.NOT_SERVING)
