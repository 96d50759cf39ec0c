"""The command of every service: `relais-<service> serve`, `migrate`, or `--check-config`. A service's `main.py` says what it is made of:

    async def build(run: Run) -> None:
        pool = await run.enter(open_pool(run.config.postgres_dsn))
        run.health.add("database", ...)
        run.spawn("relay", Relay(...).run())
        server = ApiServer(...)
        await server.start()
        run.on_drain("grpc", server.drain)

    def main() -> None:
        run_service(ServiceDefinition("routing", build, migrate))

Exit codes (sysexits.h): 0 in good order, 64 for a wrong command, 69 when something needed is not there or cannot be used, 70
when a part broke, 78 when the configuration is refused.
"""

import argparse
import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any, NoReturn

import structlog
import uvloop

from relais.chassis import failpoints, logs
from relais.chassis.access.operators import read_operators
from relais.chassis.api.methods import permission_words
from relais.chassis.api.tls import check_tls
from relais.chassis.api.tokens import TokenVerifier
from relais.chassis.config import Config, MigrationConfig, read_config, read_migration_config
from relais.chassis.environment import EnvironmentRefused
from relais.chassis.refusal import StartRefused
from relais.chassis.run import Run, serve
from relais.vault.provider import MasterKeyFile
from relais.vault.vault import MasterKeyUnusable

_log = structlog.get_logger("relais.run")


@dataclass(frozen=True, slots=True)
class ServiceDefinition:
    """A service: its name, how it is built, how its schema is made. `check` looks at what only it can judge, for `--check-config`."""

    name: str
    build: Callable[[Run], Awaitable[None]]
    migrate: Callable[[MigrationConfig], Awaitable[None]]
    check: Callable[[Config], None] | None = None


def run_service(
    definition: ServiceDefinition, arguments: Sequence[str] | None = None, environment: Mapping[str, str] = os.environ
) -> NoReturn:
    """Do what the command line says, then exit."""
    # The C library below grpc writes lines of its own to stderr, with addresses of callers in them; ours say what matters.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    parser = _parser(definition.name)
    options = parser.parse_args(arguments)
    if options.check_config:
        sys.exit(_check(definition, environment))
    if options.command is None:
        parser.error("say serve or migrate, or --check-config")
    sys.exit(_serve(definition, environment) if options.command == "serve" else _migrate(definition, environment))


def check_config(definition: ServiceDefinition, environment: Mapping[str, str]) -> Config:
    """Read the configuration and everything it names that can be judged without a network.

    Raises:
        EnvironmentRefused: a variable is missing or invalid.
        StartRefused: a file cannot be used.
    """
    config = read_config(definition.name, environment)
    failpoints.arm(config.failpoints)
    check_tls(config.tls)
    TokenVerifier.load(config.access.jwt_keys_file, lambda: 0.0)
    read_operators(config.access.operators_file, permission_words())
    try:
        MasterKeyFile.load(config.vault_master_key_file)
    except MasterKeyUnusable as error:
        raise StartRefused(str(error)) from None
    if definition.check is not None:
        definition.check(config)
    return config


def _check(definition: ServiceDefinition, environment: Mapping[str, str]) -> int:
    try:
        config = check_config(definition, environment)
    except (EnvironmentRefused, StartRefused) as refusal:
        _tell(str(refusal))
        return os.EX_CONFIG
    sys.stdout.write(f"relais-{definition.name} can start as {config.replica} ({config.deployment}).\n")
    return os.EX_OK


def _serve(definition: ServiceDefinition, environment: Mapping[str, str]) -> int:
    try:
        config = check_config(definition, environment)
    except EnvironmentRefused as refusal:
        return _refuse_configuration(definition.name, refusal)
    except StartRefused as refusal:
        logs.configure(level="info", service=definition.name, replica="")
        return _refuse_start(refusal, os.EX_CONFIG)
    logs.configure(level=config.telemetry.log_level, service=config.service, replica=config.replica)
    _log.info("service_starting", version=_version(config.service), deployment=config.deployment.value)
    return _run(serve(config, definition.build, _version(config.service)), "service_stopped")


def _migrate(definition: ServiceDefinition, environment: Mapping[str, str]) -> int:
    try:
        config = read_migration_config(definition.name, environment)
    except EnvironmentRefused as refusal:
        return _refuse_configuration(definition.name, refusal)
    logs.configure(level=config.telemetry.log_level, service=config.service, replica="migrate")

    async def migrate() -> None:
        await definition.migrate(config)

    return _run(migrate(), "migration_done")


def _run(work: Coroutine[Any, Any, None], done: str) -> int:
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(work)
    except Exception as error:  # noqa: BLE001 - the process ends here and says of what.
        cause = logs.first_cause(error)
        if isinstance(cause, StartRefused):
            return _refuse_start(cause, os.EX_UNAVAILABLE)
        _log.error("exception_unhandled", **logs.error_fields(error))
        return os.EX_SOFTWARE
    _log.info(done)
    return os.EX_OK


def _refuse_configuration(service: str, refusal: EnvironmentRefused) -> int:
    logs.configure(level="info", service=service, replica="")
    for problem in refusal.problems:
        _log.error("configuration_refused", variable=problem.variable, reason=problem.what.replace(" ", "-"), remedy=problem.remedy)
    _tell(str(refusal))
    return os.EX_CONFIG


def _refuse_start(refusal: BaseException, code: int) -> int:
    _log.error("start_refused", error=type(refusal).__name__, remedy=str(refusal))
    _tell(str(refusal))
    return code


def _tell(text: str) -> None:
    """For the person at the terminal; the log line is for the machine."""
    sys.stderr.write(text + "\n")


def _version(service: str) -> str:
    try:
        return version(f"relais-{service}")
    except PackageNotFoundError:
        return "unknown"


class _Parser(argparse.ArgumentParser):
    """Leaves with the code that sysexits.h has for a wrong command."""

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(os.EX_USAGE, f"{self.prog}: {message}\n")


def _parser(service: str) -> argparse.ArgumentParser:
    parser = _Parser(prog=f"relais-{service}", description=f"The {service} service of Relais, configured by RELAIS_* variables.")
    parser.add_argument("command", nargs="?", choices=("serve", "migrate"), help="serve until SIGTERM, or bring the database up to date")
    parser.add_argument("--check-config", action="store_true", help="say whether the service can start with this environment, and leave")
    return parser
