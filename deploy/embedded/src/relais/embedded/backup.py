"""Backup and restore of one stack: the record in one place, the keys in another.

The record is dumped first, the keys after it: every subject the record names has its key in the later dump, but for those destroyed in
between, which is as it must be. Both dumps are consistent snapshots taken while everything runs. JetStream is never copied: the relays
rebuild it from the record. Whoever has only the record's copy can read no document and no name in it.
"""

import asyncio
import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from relais.embedded.database import ROLES, prepare_databases
from relais.embedded.keys import Keys
from relais.embedded.parts import postgres_server
from relais.embedded.report import PartState
from relais.embedded.stack import Stack
from relais.embedded.state import AlreadyRunning, StateFolder
from relais.embedded.topology import DATABASE, KEYS_DATABASE
from relais.processes.errors import LaunchError, log_tail
from relais.processes.folders import require_writable
from relais.processes.leash import Leash
from relais.processes.programs import postgres_bin

DUMP_TIMEOUT_SECONDS = 4 * 3_600.0
MANIFEST = "backup.json"
READ_BYTES = 1024 * 1024


class BackupRefused(LaunchError):
    """A backup cannot be made or used: nothing was changed."""


class Manifest(msgspec.Struct, kw_only=True):
    """What one half of a backup holds. Both halves bear the same `identifier`; `files` are SHA-256 by name."""

    identifier: str
    half: str
    taken: datetime
    files: dict[str, str]


def back_up(stack: Stack, record: Path, keys: Path, tell: Callable[[str], None]) -> None:
    """Dump both databases of a running stack and copy its keys.

    Raises:
        BackupRefused: the stack's own Postgres does not run, or a destination is not empty.
        FolderUnwritable: a destination cannot be written.
    """
    if not any(part.name == "postgres" and part.state is PartState.READY for part in stack.report().parts):
        raise BackupRefused(
            "The stack's own Postgres does not run.", "Start the stack, then back it up; a Postgres of yours has its own backup."
        )
    for folder in (record, keys):
        require_writable(folder)
        if any(folder.iterdir()):
            raise BackupRefused(f"{folder} is not empty.", "Give a new folder for each backup.")
    identifier = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{os.urandom(4).hex()}"
    tell("the record")
    _dump(stack.state, DATABASE, record / "record.dump")
    _write_manifest(record, identifier, "record")
    tell("the keys")
    keys.chmod(0o700)
    _dump(stack.state, KEYS_DATABASE, keys / "keys.dump")
    for folder in (stack.state.keys, stack.state.certificates):
        shutil.copytree(folder, keys / folder.name)
    _write_manifest(keys, identifier, "keys")
    tell(f"done: {record} and {keys}")


def restore(stack: Stack, record: Path, keys: Path, tell: Callable[[str], None]) -> None:
    """Fill an empty state folder from both halves of one backup, and leave the stack down.

    Raises:
        AlreadyRunning: a stack runs on the folder.
        BackupRefused: the folder holds a database already, or the halves are damaged or not of one backup.
    """
    state = stack.state
    require_writable(state.root)
    if state.is_supervised():
        raise AlreadyRunning(f"A stack is running on {state.root}.", "Stop it with `make down`.")
    if state.postgres_data.exists():
        raise BackupRefused(f"{state.root} holds a database already.", "Restore into an empty folder: set RELAIS_HOME to a new one.")
    tell("checking the backup")
    halves = [_checked(folder, half) for folder, half in ((record, "record"), (keys, "keys"))]
    if halves[0].identifier != halves[1].identifier:
        raise BackupRefused(f"{record} and {keys} are halves of different backups.", "Give the two folders one `backup` wrote.")
    state.create()
    for folder in (state.keys, state.certificates):
        shutil.copytree(keys / folder.name, folder, dirs_exist_ok=True)
    with state.supervised(), Leash() as leash:
        server = postgres_server(state, Keys(state.keys), leash)
        server.initialise()
        server.start()
        try:
            tell("roles and databases")
            asyncio.run(prepare_databases(server.dsn(), {role: Keys(state.keys).database_password(role) for role in ROLES}))
            for name, file in ((DATABASE, record / "record.dump"), (KEYS_DATABASE, keys / "keys.dump")):
                tell(f"database {name}")
                _run(state, "pg_restore", "--exit-on-error", f"--dbname={server.dsn(name)}", str(file))
        finally:
            server.stop()
    tell("done: start it with `make up`; JetStream is rebuilt from the record")


def _dump(state: StateFolder, database: str, file: Path) -> None:
    server = postgres_server(state, Keys(state.keys))
    # Bodies are sealed and do not shrink; the light compression is for the facts.
    _run(state, "pg_dump", "--format=custom", "--compress=1", f"--dbname={server.dsn(database)}", f"--file={file}")
    file.chmod(0o600)


def _run(state: StateFolder, program: str, *arguments: str) -> None:
    log_file = state.log("backup")
    with log_file.open("ab") as log:
        status = subprocess.run(
            [str(postgres_bin() / program), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            timeout=DUMP_TIMEOUT_SECONDS,
            check=False,
        ).returncode
    if status != 0:
        raise BackupRefused(f"{program} ended with status {status}.\n{log_tail(log_file)}", f"Read {log_file}.")


def _write_manifest(folder: Path, identifier: str, half: str) -> None:
    files = {str(file.relative_to(folder)): _digest(file) for file in sorted(folder.rglob("*")) if file.is_file()}
    manifest = Manifest(identifier=identifier, half=half, taken=datetime.now(UTC), files=files)
    (folder / MANIFEST).write_bytes(msgspec.json.format(msgspec.json.encode(manifest), indent=2))


def _checked(folder: Path, half: str) -> Manifest:
    try:
        manifest = msgspec.json.decode((folder / MANIFEST).read_bytes(), type=Manifest)
        damaged = [name for name, digest in manifest.files.items() if _digest(folder / name) != digest]
    except (OSError, msgspec.MsgspecError) as error:
        raise BackupRefused(f"{folder} is not a whole backup ({type(error).__name__}).", "Give a folder that `backup` wrote.") from error
    if manifest.half != half:
        raise BackupRefused(f"{folder} holds the {manifest.half}, not the {half}.", "Give the record first, the keys with --keys.")
    if damaged:
        raise BackupRefused(f"{folder} is damaged: {', '.join(damaged)}.", "Use another copy.")
    return manifest


def _digest(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
