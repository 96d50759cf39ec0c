"""Runs `relais-<service> migrate` for every service, one after the other: some schemas are shared, and whoever comes first makes them."""

import subprocess
from collections.abc import Callable

from relais.embedded.configuration import Configuration
from relais.embedded.parts import program
from relais.embedded.services import Environments
from relais.embedded.topology import SERVICES
from relais.processes.errors import LaunchError, ProcessDied, ProgramMissing, log_tail

MIGRATE_TIMEOUT_SECONDS = 120.0


class MigrationTimedOut(LaunchError):
    """A migration did not end in time; perhaps another session holds a lock it needs."""


def migrate_all(configuration: Configuration, environments: Environments, tell: Callable[[str], None]) -> None:
    """Migrate every service; `tell` hears each step.

    Raises:
        ProgramMissing: the command is not there.
        ProcessDied: a migration failed; the message ends with what it said.
        MigrationTimedOut: see above.
    """
    for service in SERVICES:
        tell(f"relais-{service.name} migrate")
        command = [str(program(configuration, service.name)), "migrate"]
        log_file = configuration.state.log(f"{service.name}-migrate")
        try:
            with log_file.open("wb") as log:
                ran = subprocess.run(
                    command,
                    env=environments.migrating(service),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    timeout=MIGRATE_TIMEOUT_SECONDS,
                    check=False,
                )
        except (FileNotFoundError, PermissionError) as error:
            raise ProgramMissing(f"The program {command[0]} cannot be run.", "Run `make setup`.") from error
        except subprocess.TimeoutExpired as error:
            raise MigrationTimedOut(
                f"relais-{service.name} migrate did not end in {error.timeout:g} seconds.", f"Read {log_file}."
            ) from error
        if ran.returncode != 0:
            raise ProcessDied(
                f"relais-{service.name} migrate ended with status {ran.returncode}.\n{log_tail(log_file)}",
                f"Read {log_file}.",
                ran.returncode,
            )
