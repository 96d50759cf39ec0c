"""Attacks the rule that Postgres never runs as root: in an open folder, in a private one, and where nothing can be done."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from relais.processes.leash import Leash
from relais.processes.postgres import PostgresPlace, PostgresServer
from relais.processes.privileges import NOBODY, Unprivileged, namespace_available, reachable_by_all, unprivileged
from relais.processes.programs import postgres_bin

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root has to become somebody else")


def place(folder: Path) -> PostgresPlace:
    sockets = folder / "run"
    sockets.mkdir()
    return PostgresPlace(
        programs=postgres_bin(), data_folder=folder / "data", socket_folder=sockets, log_file=folder / "log", settings={"fsync": "off"}
    )


@pytest.fixture
def private() -> Iterator[Path]:
    """A folder whose parent only this user may enter, as a project below a home folder."""
    closed = Path(tempfile.mkdtemp(prefix="relais-closed-"))
    (closed / "project").mkdir()
    yield closed / "project"
    shutil.rmtree(closed, ignore_errors=True)


async def start_and_use(folder: Path) -> None:
    """A whole life of a server on the folder."""
    with Leash() as leash:
        server = PostgresServer(place(folder), leash)
        server.initialise()
        server.start()
        try:
            connection = await asyncpg.connect(server.dsn())
            assert await connection.fetchval("SELECT 1") == 1
            await connection.close()
        finally:
            server.stop()


@as_root
def test_in_an_open_folder_root_becomes_nobody(home: Path) -> None:
    run_as = unprivileged(Path("/bin/sh"), home / "data")
    assert run_as == Unprivileged(user=NOBODY, environment={"HOME": "/nonexistent"})
    folder = home / "owned"
    folder.mkdir()
    run_as.own(folder)
    process = run_as.start(["/bin/sh", "-c", f"id -u; id -G; touch {folder}/mine"], stdout=subprocess.PIPE)
    said, _ = process.communicate(timeout=10)
    assert said.decode().split() == [str(NOBODY), str(NOBODY)]
    assert (folder / "mine").stat().st_uid == NOBODY


@as_root
async def test_in_a_private_folder_root_is_called_nobody_and_the_files_stay_its_own(private: Path) -> None:
    if not namespace_available():
        pytest.skip("this machine has no user namespaces")
    assert not reachable_by_all(private / "data")
    assert unprivileged(postgres_bin() / "postgres", private / "data").prefix[0] == "unshare"
    await start_and_use(private)
    assert (private / "data" / "PG_VERSION").stat().st_uid == 0


async def test_a_server_works_in_an_open_folder_whoever_starts_it(home: Path) -> None:
    await start_and_use(home)
    expected = NOBODY if os.geteuid() == 0 else os.geteuid()
    assert (home / "data" / "PG_VERSION").stat().st_uid == expected
    assert (home / "data").stat().st_mode & 0o077 == 0


def test_the_pid_file_of_a_dead_server_does_not_stop_the_next_even_when_another_process_bears_its_number(home: Path) -> None:
    with Leash() as leash:
        server = PostgresServer(place(home), leash)
        server.initialise()
        pid_file = home / "data" / "postmaster.pid"
        stranger = subprocess.Popen(["sleep", "600"])
        try:
            for number in (stranger.pid, 2**22 - 1):
                pid_file.write_text(f"{number}\n{home / 'data'}\n0\n5432\n{home / 'run'}\n\n")
                server.start()
                server.stop()
            assert stranger.poll() is None
        finally:
            stranger.kill()
            stranger.wait()


def test_the_leash_signals_what_it_holds_and_nothing_it_let_go() -> None:
    with Leash() as leash:
        held = subprocess.Popen(["sleep", "600"])
        released = subprocess.Popen(["sleep", "600"])
        leash.hold(held.pid, signal.SIGTERM)
        leash.hold(held.pid, signal.SIGINT)
        leash.hold(released.pid, signal.SIGTERM)
        leash.release(released.pid)
    assert held.wait(10) == -signal.SIGINT
    assert released.poll() is None
    released.kill()
    assert released.wait(10) == -signal.SIGKILL
