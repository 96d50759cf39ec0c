"""Attacks the start: everything that is not as it must be is named in one sentence, with what to do next, before anything is changed."""

import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from relais.embedded.configuration import REPLICAS_MAXIMUM, ConfigurationRefused, read_configuration
from relais.embedded.ports import PortsUnreadable, settle_ports
from relais.embedded.stack import Stack, StackFailed
from relais.processes.errors import DiskFull, FolderUnwritable, LaunchError, PortTaken, ProgramMissing, ProgramTooOld, StartTimedOut
from relais.processes.folders import SOCKET_FOLDER_BYTES_MAXIMUM, require_room, require_writable, socket_folder
from relais.processes.nats import server_version
from relais.processes.programs import nats_server_program, postgres_bin, refuse_old_nats


def script(file: Path, text: str) -> Path:
    file.write_text(f"#!/bin/sh\n{text}\n")
    file.chmod(0o755)
    return file


@contextmanager
def greeting(line: bytes) -> Iterator[str]:
    """Something that listens and says one line to the first who calls; yields its address."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.sendall(line)

        thread = threading.Thread(target=answer)
        thread.start()
        yield f"nats://127.0.0.1:{listening.getsockname()[1]}"
        thread.join()


def test_the_nats_server_of_debian_is_refused_by_name(tmp_path: Path) -> None:
    old = script(tmp_path / "nats-server", "echo nats-server: v2.9.10")
    with pytest.raises(ProgramTooOld, match=r"2\.9\.10; Relais needs 2\.14\.7.*Debian") as refusal:
        nats_server_program({"NATS_BIN": str(old)})
    assert "NATS_BIN" in refusal.value.advice


def test_a_running_nats_server_is_asked_for_its_version_first() -> None:
    with greeting(b'INFO {"version":"2.14.6","jetstream":true}\r\n') as url, pytest.raises(ProgramTooOld, match=r"2\.14\.6"):
        refuse_old_nats(server_version(url), url)
    with greeting(b'INFO {"version":"2.14.7"}\r\n') as url:
        refuse_old_nats(server_version(url), url)
    with greeting(b"SSH-2.0-OpenSSH_9.2\r\n") as url, pytest.raises(StartTimedOut, match="No NATS server answers"):
        server_version(url)
    with pytest.raises(StartTimedOut, match="No NATS server answers"):
        server_version("nats://127.0.0.1:9")


def test_programs_that_are_missing_or_broken_are_named(tmp_path: Path) -> None:
    with pytest.raises(ProgramMissing, match="no program initdb"):
        postgres_bin({"PG_BIN": str(tmp_path)})
    with pytest.raises(ProgramMissing, match="not a program"):
        nats_server_program({"NATS_BIN": str(tmp_path / "absent")})
    broken = script(tmp_path / "broken", "exit 1")
    with pytest.raises(ProgramMissing, match="prints no version"):
        nats_server_program({"NATS_BIN": str(broken)})
    for name in ("initdb", "postgres"):
        script(tmp_path / name, "echo 'postgres (PostgreSQL) 14.9'")
    with pytest.raises(ProgramTooOld, match=r"14\.9"):
        postgres_bin({"PG_BIN": str(tmp_path)})


def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FolderUnwritable, match="Nothing can be written in /proc/relais"):
        require_writable(Path("/proc/relais"))
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(FolderUnwritable) as refusal:
        require_writable(tmp_path / "file" / "below")
    assert "RELAIS_HOME" in refusal.value.advice


def test_a_disk_with_too_little_room_is_refused_before_the_database_would_panic(tmp_path: Path) -> None:
    free_bytes = shutil.disk_usage(tmp_path).free
    require_room(tmp_path, free_bytes // 2)
    with pytest.raises(DiskFull, match=r"MiB free; \d+ MiB are needed") as refusal:
        require_room(tmp_path, free_bytes * 2)
    assert "Make room" in refusal.value.advice


def test_a_port_keeps_its_number_and_is_refused_when_somebody_took_it(tmp_path: Path) -> None:
    file = tmp_path / "ports.json"
    first = settle_ports(file, ["nats", "ingestion-1.grpc"])
    assert settle_ports(file, ["nats", "ingestion-1.grpc", "ingestion-2.grpc"]).items() >= first.items()
    assert len(set(settle_ports(file, ["nats", "ingestion-1.grpc", "ingestion-2.grpc"]).values())) == 3
    with socket.create_server(("127.0.0.1", first["nats"])), pytest.raises(PortTaken, match=f"Port {first['nats']}.*for nats") as refusal:
        settle_ports(file, ["nats"])
    assert str(file) in refusal.value.advice


def test_a_port_that_is_taken_at_the_first_start_is_simply_not_chosen(tmp_path: Path) -> None:
    wanted = settle_ports(tmp_path / "ports.json", ["nats"])["nats"]
    (tmp_path / "ports.json").unlink()
    with socket.create_server(("127.0.0.1", wanted)):
        assert settle_ports(tmp_path / "ports.json", ["nats"])["nats"] != wanted


def test_a_table_of_ports_that_was_spoilt_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "ports.json"
    for text in ("not json", "[1, 2]", '{"nats": "many"}'):
        file.write_text(text)
        with pytest.raises(PortsUnreadable):
            settle_ports(file, ["nats"])


def test_a_socket_goes_elsewhere_when_the_folder_has_too_long_a_name(tmp_path: Path) -> None:
    assert socket_folder(tmp_path / "run") == tmp_path / "run"
    long = tmp_path / ("d" * SOCKET_FOLDER_BYTES_MAXIMUM)
    elsewhere = socket_folder(long)
    assert len(str(elsewhere)) <= SOCKET_FOLDER_BYTES_MAXIMUM
    assert elsewhere == socket_folder(long)
    assert elsewhere.stat().st_mode & 0o077 == 0
    elsewhere.rmdir()


@pytest.mark.parametrize(
    "environment", [{"REPLICAS": "many"}, {"REPLICAS": "0"}, {"REPLICAS": str(REPLICAS_MAXIMUM + 1)}, {"RELAIS_DEPLOYMENT": "production"}]
)
def test_a_variable_that_cannot_be_used_is_named(environment: dict[str, str]) -> None:
    with pytest.raises(ConfigurationRefused, match=next(iter(environment))):
        read_configuration(environment)


def test_a_stack_does_not_start_on_a_nearly_full_disk(stack: Stack) -> None:
    stack.state.root.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64m", "relais-test", str(stack.state.root)], check=False, capture_output=True
    )
    if mounted.returncode != 0:
        pytest.skip("only root can give a folder a small disk of its own")
    try:
        with pytest.raises(StackFailed, match=r"has 6\d MiB free; 512 MiB are needed"):
            stack.up()
        assert not stack.state.postgres_data.exists()
    finally:
        subprocess.run(["umount", str(stack.state.root)], check=True)


def test_every_refusal_of_a_start_reaches_the_one_who_started_it(stack: Stack, tmp_path: Path) -> None:
    old = script(tmp_path / "nats-server", "echo nats-server: v2.9.10")
    with pytest.raises(StackFailed, match="Debian's own package") as refusal:
        stack.up(environment={"NATS_BIN": str(old)})
    assert isinstance(refusal.value, LaunchError)
    assert "NATS_BIN" in refusal.value.advice
