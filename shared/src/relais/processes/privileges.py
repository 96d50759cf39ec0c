"""Not being root: `initdb` and `postgres` refuse to run as uid 0, and rightly so.

Not root: run as is. Root, and everything on the way to the program and its data can be read by all: run as `nobody`. Root, and something is
private (a project below a home folder): enter a user namespace in which root is called nobody. Neither possible: say so.
"""

import functools
import os
import shutil
import stat
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from relais.processes.errors import PrivilegeRefused

NOBODY = 65_534
NAMESPACE_PROBE_TIMEOUT_SECONDS = 10.0


@dataclass(frozen=True, kw_only=True)
class Unprivileged:
    """How to start a program without being root: words to put before its command, and the user to become (None: stay)."""

    prefix: tuple[str, ...] = ()
    user: int | None = None
    environment: dict[str, str] = field(default_factory=dict)

    def start(self, command: list[str], variables: Mapping[str, str] | None = None, **options: object) -> "subprocess.Popen[bytes]":
        """`subprocess.Popen` of the command as this user, in a session of its own so that Ctrl-C reaches only the starter."""
        if self.user is not None:
            options |= {"user": self.user, "group": self.user, "extra_groups": []}
        environment = {**os.environ, **self.environment, **(variables or {})}
        return subprocess.Popen(  # type: ignore[call-overload,no-any-return]
            [*self.prefix, *command], env=environment, start_new_session=True, stdin=subprocess.DEVNULL, **options
        )

    def own(self, folder: Path) -> None:
        """Give a folder, not its content, to the user the program will run as."""
        if self.user is not None:
            os.chown(folder, self.user, self.user)


def unprivileged(program: Path, *folders: Path) -> Unprivileged:
    """Choose how to run `program` on `folders` without being root.

    Raises:
        PrivilegeRefused: this is root, something is private, and user namespaces are not available.
    """
    if os.geteuid() != 0:
        return Unprivileged()
    if all(reachable_by_all(path) for path in (program, *(folder.parent for folder in folders))):
        return Unprivileged(user=NOBODY, environment={"HOME": "/nonexistent"})
    if namespace_available():
        return Unprivileged(prefix=NAMESPACE_COMMAND)
    raise PrivilegeRefused(
        f"Postgres does not run as root; to run it as another user {private_ancestor((program, *folders))} would have to be open to all, "
        "and user namespaces are not available.",
        "Run as an ordinary user, or move the project to a folder that every user may enter.",
    )


NAMESPACE_COMMAND = ("unshare", "--user", f"--map-user={NOBODY}", f"--map-group={NOBODY}", "--")


@functools.cache
def namespace_available() -> bool:
    """True when root can be called nobody in a user namespace; containers often forbid it."""
    if shutil.which("unshare") is None:
        return False
    probe = subprocess.run([*NAMESPACE_COMMAND, "true"], check=False, capture_output=True, timeout=NAMESPACE_PROBE_TIMEOUT_SECONDS)
    return probe.returncode == 0


def reachable_by_all(path: Path) -> bool:
    """True when every user may enter each folder on the way to `path`, and enter or run `path` itself."""
    return private_ancestor((path,)) is None


def private_ancestor(paths: tuple[Path, ...]) -> Path | None:
    """The first existing folder or file on the way to one of the paths that other users may not enter or run."""
    for path in paths:
        resolved = path.resolve()
        for step in (*reversed(resolved.parents), resolved):
            if step.exists() and not step.stat().st_mode & stat.S_IXOTH:
                return step
    return None
