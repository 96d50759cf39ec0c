"""One stack with two replicas of each service, and the ways to hurt its processes."""

import os
import signal
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Final

import psutil

from relais.chassis.failpoints import ORDERS_FILE, Failpoint
from relais.embedded.certificates import Authority
from relais.embedded.database import with_login
from relais.embedded.documents import write_documents
from relais.embedded.keys import Keys
from relais.embedded.ports import settle_ports
from relais.embedded.stack import Stack
from relais.embedded.state import StateFolder
from relais.embedded.topology import DATABASE, ENDPOINTS, OWNER_ROLE, part_names, port_names
from tests.faults.waiting import until

REPLICAS: Final = 2
SERVICES: Final = ("ingestion", "identity", "routing", "delivery")
READY_SECONDS: Final = 60.0
STRIKE_SECONDS: Final = 30.0
WHOEVER_LEADS: Final = ("relay.", "intake.")

# A partner that does not answer is given up, probed and tried again within seconds, so that a fault and its end fit into one test; the
# lease of an endpoint follows its deadline.
IMPATIENCE: Final = """connect_timeout_seconds = 1.0
deadline_seconds = 2.0
retry = { delay_seconds_first = 0.3, delay_seconds_maximum = 2.0, attempts_maximum = 400, age_seconds_maximum = 3600.0 }
breaker = { failures_maximum = 10, open_seconds_first = 0.5, open_seconds_maximum = 2.0 }
"""


class Arena:
    """The stack under attack. Everything in here is about processes; what they promise is `promises.py`."""

    def __init__(self, home: Path) -> None:
        self.stack = Stack(StateFolder(home / "state"))
        self.state = self.stack.state
        self._keys = Keys(self.state.keys)
        self._variables: dict[str, dict[str, str]] = {}

    def up(self) -> None:
        """Start it. Certificates, keys and ports are made before, because the variables of its processes speak of them."""
        self.state.root.mkdir()
        self.state.create()
        ports = settle_ports(self.state.ports_file, port_names(REPLICAS))
        write_documents(self.state, Authority(self.state.certificates, datetime.now(UTC)), self._keys, ports, REPLICAS)
        endpoints = (self.state.configuration / "endpoints.toml").read_text()
        for name in ENDPOINTS:
            endpoints = endpoints.replace(f"[endpoints.{name}]\n", f"[endpoints.{name}]\n{IMPATIENCE}")
        impatient = self.state.configuration / "endpoints-impatient.toml"
        impatient.write_text(endpoints)
        for part in part_names(REPLICAS):
            self._variables[part] = {"RELAIS_FAILPOINTS": f"{ORDERS_FILE}{self._orders(part)}"}
            if part.startswith("delivery"):
                self._variables[part]["RELAIS_ENDPOINTS_FILE"] = str(impatient)
        self._write_variables()
        self.stack.up(replicas=REPLICAS, environment={"RELAIS_TRACE_SAMPLE": "0", "RELAIS_LOG_LEVEL": "info"})

    def address(self, part: str, purpose: str) -> str:
        """Where a part listens."""
        return self.stack.report().part(part).addresses[purpose]

    @property
    def socket_folder(self) -> Path:
        """Where the database listens."""
        return Path(self.address("postgres", "socket"))

    def dsn(self, role: str = OWNER_ROLE, socket_folder: Path | None = None) -> str:
        """The record, as one of its roles; through another socket when one is named."""
        address = f"postgresql://x@/x?host={socket_folder or self.socket_folder}&port=5432"
        return with_login(address, role, self._keys.database_password(role), DATABASE)

    def replicas(self, service: str) -> list[str]:
        """Its processes, by name."""
        return [f"{service}-{number}" for number in range(1, REPLICAS + 1)]

    def pid(self, part: str) -> int:
        """The process of a part that runs."""
        pid = self.stack.report().part(part).pid
        if pid is None:
            raise ProcessLookupError(part)
        return pid

    def set_variables(self, part: str, variables: dict[str, str]) -> None:
        """Give one process other variables, from its next start on; an empty value takes one back."""
        for name, value in variables.items():
            if value:
                self._variables[part][name] = value
            else:
                self._variables[part].pop(name, None)
        self._write_variables()

    async def arm(self, parts: Iterable[str], order: str) -> None:
        """Hand orders such as `relay.after_publish=kill` to running processes, and wait until they have read them."""
        told = list(parts)
        for part in told:
            # Renamed, for a process that starts at this moment must not read half an order.
            draft = self._orders(part).with_suffix(".draft")
            draft.write_text(order)
            draft.rename(self._orders(part))
            os.kill(self.pid(part), signal.SIGUSR1)
        await until(lambda: not any(self._orders(part).exists() for part in told), STRIKE_SECONDS, f"{told} do not take orders")

    async def strike_at(self, service: str, place: Failpoint, chance: Random, action: str = "kill") -> tuple[str, int]:
        """Let one replica be hit at that place; its name, and the number it had.

        A log has one relay, and nobody knows which replica answers a stream: there all are armed, and the first to get there is hit.
        """
        parts = self.replicas(service)
        if not place.startswith(WHOEVER_LEADS):
            parts = [chance.choice(parts)]
        pids = {part: self.pid(part) for part in parts}
        await self.arm(pids, f"{place}={action}")
        hit = is_paused if action == "pause" else is_dead
        await until(lambda: any(hit(pid) for pid in pids.values()), STRIKE_SECONDS, f"nobody got to {place}")
        victim = next(part for part, pid in pids.items() if hit(pid))
        await self.arm([part for part, pid in pids.items() if not is_dead(pid) and not is_paused(pid)], "")
        return victim, pids[victim]

    def said(self, part: str, references: Iterable[str]) -> int:
        """How often a part wrote one of these references into its log."""
        log = self.state.log(part).read_text("utf-8", "replace")
        return sum(log.count(f'"reference":"{reference}"') for reference in references)

    def wake(self) -> None:
        """Let whatever was put to sleep go on."""
        for part in self.stack.report().parts:
            if part.pid is not None and is_paused(part.pid):
                os.kill(part.pid, signal.SIGCONT)

    async def ready(self, parts: Iterable[str] | None = None, seconds: float = READY_SECONDS) -> None:
        """Wait until these parts, or all, run and say that they can work."""
        wanted = set(parts if parts is not None else (part.name for part in self.stack.report().parts))

        def all_ready() -> bool:
            return all(part.state.value == "ready" for part in self.stack.report().parts if part.name in wanted)

        await until(all_ready, seconds, f"{wanted} are not ready")

    async def restarted(self, part: str, before: int) -> None:
        """Wait until a part is another process than `before`, and can work."""
        await until(lambda: self.stack.report().part(part).pid not in (before, None), READY_SECONDS, f"{part} was not started again")
        await self.ready([part])

    def _orders(self, part: str) -> Path:
        return self.state.root / f"orders-{part}"

    def _write_variables(self) -> None:
        tables = []
        for part, variables in self._variables.items():
            # TOML's literal strings: an address may hold anything but a quote.
            tables += [f"[{part}]", *(f"{name} = '{value}'" for name, value in variables.items())]
        draft = self.state.environment_file.with_suffix(".draft")
        draft.write_text("\n".join(tables) + "\n")
        draft.rename(self.state.environment_file)


def is_dead(pid: int) -> bool:
    """Gone, or ended and not yet waited for."""
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def is_paused(pid: int) -> bool:
    """Stopped by a signal."""
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_STOPPED)
    except psutil.NoSuchProcess:
        return False
