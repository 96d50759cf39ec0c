"""Folders a server may live in: writable, with room, and with a socket path the system accepts."""

import hashlib
import os
import shutil
import tempfile
from pathlib import Path

from relais.processes.errors import DiskFull, FolderUnwritable

# sockaddr_un holds 108 bytes with its final zero; Postgres appends "/.s.PGSQL.65535.lock" for the lock beside the socket.
SOCKET_FOLDER_BYTES_MAXIMUM = 107 - len("/.s.PGSQL.65535.lock")


def require_writable(folder: Path) -> None:
    """Create the folder, private to this user, and prove that a file can be written in it.

    Raises:
        FolderUnwritable: it cannot be created or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise FolderUnwritable(
            f"Nothing can be written in {folder} ({error.strerror}).", "Give this user the folder, or set RELAIS_HOME to one it may write."
        ) from error


def require_room(folder: Path, bytes_minimum: int) -> None:
    """Refuse to start on a disk that would be full soon: a clear sentence now is better than a panic of the database later.

    Raises:
        DiskFull: fewer than `bytes_minimum` bytes are free for this user.
    """
    free_bytes = shutil.disk_usage(folder).free
    if free_bytes < bytes_minimum:
        raise DiskFull(
            f"{folder} has {free_bytes // 2**20} MiB free; {bytes_minimum // 2**20} MiB are needed to start.",
            "Make room, or set RELAIS_HOME to a folder on a larger disk.",
        )


def socket_folder(wanted: Path) -> Path:
    """`wanted` when a Unix socket fits below it, else a short folder of the same owner in the temporary folder; created, mode 0700."""
    folder = wanted
    if len(os.fsencode(wanted)) > SOCKET_FOLDER_BYTES_MAXIMUM:
        name = hashlib.sha256(os.fsencode(wanted)).hexdigest()[:12]
        folder = Path(tempfile.gettempdir()) / f"relais-{os.getuid()}-{name}"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if folder.stat().st_uid not in (os.getuid(), 65_534):
        raise FolderUnwritable(f"{folder} belongs to another user.", "Remove it, or set RELAIS_HOME to a folder with a shorter name.")
    return folder
