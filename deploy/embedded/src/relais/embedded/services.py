"""One process of a service: the environment it receives, how it starts, when it is ready, how it stops."""

import os
import signal
import subprocess
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path

from relais.embedded.certificates import Authority
from relais.embedded.configuration import Configuration
from relais.embedded.database import with_login
from relais.embedded.keys import Keys
from relais.embedded.ports import HOST
from relais.embedded.topology import DATABASE, KEYS_DATABASE, OWNER_ROLE, Service
from relais.processes.errors import LaunchError, ProgramMissing
from relais.processes.leash import Leash
from relais.processes.memory import MEMORY_KEPT
from relais.processes.running import RunningProcess

STOP_TIMEOUT_SECONDS = 40.0


class EnvironmentFileRefused(LaunchError):
    """environment.toml cannot be read."""


class ProgramProcess:
    """A program of ours that serves until it is told to stop. Its environment is asked for anew at each start."""

    def __init__(
        self,
        name: str,
        command: list[str],
        environment: Callable[[], Mapping[str, str]],
        is_ready: Callable[[], bool],
        log_file: Path,
        leash: Leash,
    ) -> None:
        self.name = name
        self.log_file = log_file
        self._command = command
        self._environment = environment
        self._is_ready = is_ready
        self._leash = leash
        self._running: RunningProcess | None = None

    @property
    def running(self) -> RunningProcess | None:
        """The process, or None when it was not started or was stopped."""
        return self._running

    def launch(self) -> RunningProcess:
        """Start without waiting.

        Raises:
            ProgramMissing: the command is not there.
        """
        self._forget()
        try:
            with self.log_file.open("ab") as log:
                popen = subprocess.Popen(
                    self._command,
                    env=self._environment(),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
        except (FileNotFoundError, PermissionError) as error:
            raise ProgramMissing(f"The program {self._command[0]} cannot be run.", "Run `make setup`.") from error
        self._running = RunningProcess(self.name, popen, self.log_file)
        self._leash.hold(popen.pid, signal.SIGTERM)
        return self._running

    def is_ready(self) -> bool:
        """True when it says so itself."""
        return self._is_ready()

    def stop(self) -> None:
        """Ask it to end its work and leave; insist after a while."""
        if self._running is not None:
            self._running.stop(signal.SIGTERM, STOP_TIMEOUT_SECONDS)
        self._forget()

    def _forget(self) -> None:
        running, self._running = self._running, None
        if running is not None:
            self._leash.release(running.pid)


class Environments:
    """Makes the environment of each process of one stack; the names are documented in deploy/embedded/README.md."""

    def __init__(
        self, configuration: Configuration, ports: Mapping[str, int], keys: Keys, authority: Authority, database_dsn: str, nats_url: str
    ) -> None:
        self._configuration = configuration
        self._ports = ports
        self._keys = keys
        self._authority = authority
        self._database_dsn = database_dsn
        self._nats_url = nats_url

    def serving(self, service: Service, replica: int) -> dict[str, str]:
        """What `relais-<service> serve` receives."""
        name = f"{service.name}-{replica}"
        pair = self._authority.server(service.name)
        state = self._configuration.state
        environment = {
            **MEMORY_KEPT,
            **self._inherited(),
            **self._configuration.handed_on,
            "RELAIS_SERVICE_REPLICA": name,
            "RELAIS_DEPLOYMENT": self._configuration.deployment,
            "RELAIS_POSTGRES_DSN": self._dsn(service.role, DATABASE),
            "RELAIS_KEYS_DSN": self._dsn(service.role, KEYS_DATABASE),
            "RELAIS_NATS_URL": self._nats_url,
            "RELAIS_GRPC_LISTEN": self.listen(name, "grpc"),
            "RELAIS_GRPC_TOKEN_LISTEN": self.listen(name, "token"),
            "RELAIS_HEALTH_LISTEN": self.listen(name, "health"),
            "RELAIS_METRICS_LISTEN": self.listen(name, "metrics"),
            "RELAIS_TLS_CERTIFICATE_FILE": str(pair.certificate),
            "RELAIS_TLS_KEY_FILE": str(pair.key),
            "RELAIS_TLS_CLIENT_CA_FILE": str(self._authority.pair.certificate),
            "RELAIS_JWT_KEYS_FILE": str(self._keys.trusted_tokens),
            "RELAIS_VAULT_MASTER_KEY_FILE": str(self._keys.vault_master),
            "RELAIS_OPERATORS_FILE": str(state.configuration / "operators.toml"),
        }
        if self._configuration.nats_url is None:
            environment["RELAIS_NATS_MONITOR_URL"] = f"http://{HOST}:{self._ports['nats.monitor']}"
            environment["RELAIS_NATS_NKEY_SEED_FILE"] = str(self._keys.nkey_seed(service.name))
        if service.name == "delivery":
            environment["RELAIS_ENDPOINTS_FILE"] = str(state.configuration / "endpoints.toml")
        return environment | self._overrides(name)

    def migrating(self, service: Service) -> dict[str, str]:
        """What `relais-<service> migrate` receives: the same, and the owner's addresses."""
        return self.serving(service, 1) | {
            "RELAIS_POSTGRES_OWNER_DSN": self._dsn(OWNER_ROLE, DATABASE),
            "RELAIS_KEYS_OWNER_DSN": self._dsn(OWNER_ROLE, KEYS_DATABASE),
        }

    def sandbox(self) -> dict[str, str]:
        """What `relais-sandbox serve` receives; all it needs to know is in its file."""
        return self._inherited() | self._overrides("sandbox")

    def listen(self, name: str, purpose: str) -> str:
        """Where a process listens for one purpose: `127.0.0.1:7431`."""
        return f"{HOST}:{self._ports[f'{name}.{purpose}']}"

    def _dsn(self, role: str, database: str) -> str:
        return with_login(self._database_dsn, role, self._keys.database_password(role), database)

    def _inherited(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("RELAIS_", "PG", "NATS_"))}
        return kept | {"RELAIS_HOME": str(self._configuration.state.root)}

    def _overrides(self, name: str) -> dict[str, str]:
        """environment.toml, read at each start so that a test or an operator can change one process: `[delivery-2]` then NAME = "value"."""
        file = self._configuration.state.environment_file
        try:
            tables = tomllib.loads(file.read_text()) if file.exists() else {}
            return {str(variable): str(value) for table in ("all", name) for variable, value in tables.get(table, {}).items()}
        except (OSError, ValueError, AttributeError) as error:
            raise EnvironmentFileRefused(f"{file} is not TOML with one table a process.", "Mend or remove it.") from error
