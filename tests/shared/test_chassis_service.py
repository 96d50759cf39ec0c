"""Attacks the run of a real process: what it says when it cannot start, how it ends, and that a part which dies takes it down."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from relais.testing.certificates import TestAuthority

SECONDS = 30
PROGRAM = """
import asyncio, sys
from relais.chassis.refusal import StartRefused
from relais.chassis.service import ServiceDefinition, run_service

async def ready():
    return True

async def build(run):
    async def close():
        print("closed", flush=True)
    async def finish():
        print("drained", flush=True)
    run.on_close(close)
    run.on_drain("work", finish)
    run.health.add("always", ready)
    how = sys.argv.pop() if len(sys.argv) > 2 else "wait"
    if how == "refuse":
        raise StartRefused("the database is too old: Postgres 15 is needed")
    if how == "break":
        raise ValueError("Jeanne Martin")
    async def part():
        if how == "die":
            raise ValueError("Jeanne Martin")
        if how != "return":
            await asyncio.Event().wait()
    run.spawn("part", part())

async def migrate(config):
    print("migrated", config.service, flush=True)

run_service(ServiceDefinition("routing", build, migrate), sys.argv[1:2])
"""


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    tls = TestAuthority().server(tmp_path)
    (tmp_path / "keys.json").write_text('{"keys": []}')
    (tmp_path / "operators.toml").write_text("")
    (tmp_path / "vault.key").write_bytes(os.urandom(32))
    (tmp_path / "vault.key").chmod(0o600)
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("RELAIS_")},
        "RELAIS_SERVICE_REPLICA": "routing-1",
        "RELAIS_DEPLOYMENT": "test",
        "RELAIS_POSTGRES_DSN": "postgres://nobody@localhost/relais",
        "RELAIS_KEYS_DSN": "postgres://nobody@localhost/relais_keys",
        "RELAIS_NATS_URL": "nats://localhost:1",
        "RELAIS_GRPC_LISTEN": "127.0.0.1:0",
        "RELAIS_HEALTH_LISTEN": "127.0.0.1:0",
        "RELAIS_METRICS_LISTEN": "127.0.0.1:0",
        "RELAIS_TLS_CERTIFICATE_FILE": str(tls.certificate_file),
        "RELAIS_TLS_KEY_FILE": str(tls.key_file),
        "RELAIS_TLS_CLIENT_CA_FILE": str(tls.client_authority_file),
        "RELAIS_JWT_KEYS_FILE": str(tmp_path / "keys.json"),
        "RELAIS_OPERATORS_FILE": str(tmp_path / "operators.toml"),
        "RELAIS_VAULT_MASTER_KEY_FILE": str(tmp_path / "vault.key"),
    }


def start(environment: dict[str, str], *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-W", "error", "-c", PROGRAM, *arguments]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen[str]) -> tuple[int, list[str], str]:
    """The exit code, what was written (references of lines, and plain text as it is), and stderr."""
    with process:
        out, err = process.communicate(timeout=SECONDS)
    assert "Jeanne" not in out + err
    return process.returncode, [word(line) for line in out.splitlines()], err


def word(line: str) -> str:
    return str(json.loads(line)["reference"]) if line.startswith("{") else line


def run(environment: dict[str, str], *arguments: str) -> tuple[int, list[str], str]:
    return finish(start(environment, *arguments))


def test_sigterm_drains_closes_and_leaves_with_zero(environment: dict[str, str]) -> None:
    process = start(environment, "serve")
    assert process.stdout is not None
    said = [word(process.stdout.readline().strip()) for _ in range(2)]
    process.send_signal(signal.SIGTERM)
    code, rest, err = finish(process)
    assert (code, err) == (0, "")
    assert said + rest == ["service_starting", "service_ready", "service_draining", "drained", "closed", "service_stopped"]


@pytest.mark.parametrize(("how", "word"), [("die", "ValueError"), ("return", "relais.chassis.run.PartEnded")])
def test_a_part_that_ends_takes_the_process_down_loudly(environment: dict[str, str], how: str, word: str) -> None:
    process = start(environment, "serve", how)
    with process:
        out, _ = process.communicate(timeout=SECONDS)
    assert process.returncode == os.EX_SOFTWARE
    lines: list[dict[str, Any]] = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
    died = next(line for line in lines if line["reference"] == "task_died")
    assert (died["task"], died["error"]) == ("part", word)
    assert "closed" in out
    assert "Jeanne" not in out


def test_what_is_needed_and_not_there_is_said_in_a_sentence(environment: dict[str, str]) -> None:
    code, said, err = run(environment, "serve", "refuse")
    assert code == os.EX_UNAVAILABLE
    assert "start_refused" in said
    assert err == "the database is too old: Postgres 15 is needed\n"
    assert "closed" in said


def test_a_defect_while_building_is_no_start(environment: dict[str, str]) -> None:
    code, said, _ = run(environment, "serve", "break")
    assert code == os.EX_SOFTWARE
    assert "exception_unhandled" in said


def test_a_taken_port_stops_the_start(environment: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        environment["RELAIS_METRICS_LISTEN"] = f"127.0.0.1:{taken.getsockname()[1]}"
        code, _, err = run(environment, "serve")
    assert code == os.EX_UNAVAILABLE
    assert "RELAIS_METRICS_LISTEN" in err


def test_a_missing_variable_stops_the_start_by_name(environment: dict[str, str]) -> None:
    del environment["RELAIS_NATS_URL"]
    code, said, err = run(environment, "serve")
    assert (code, said) == (os.EX_CONFIG, ["configuration_refused"])
    assert err.startswith("RELAIS_NATS_URL is not set.")


def test_check_config_says_whether_it_can_start_and_touches_nothing(environment: dict[str, str], tmp_path: Path) -> None:
    assert run(environment, "--check-config") == (0, ["relais-routing can start as routing-1 (test)."], "")
    (tmp_path / "operators.toml").write_text("[[operator]]\n")
    code, said, err = run(environment, "--check-config")
    assert (code, said) == (os.EX_CONFIG, [])
    assert "operator 1" in err


@pytest.mark.parametrize("file", ["keys.json", "server.key", "vault.key", "operators.toml"])
def test_check_config_looks_into_the_files(environment: dict[str, str], tmp_path: Path, file: str) -> None:
    (tmp_path / file).write_text("{ this is neither")
    assert run(environment, "--check-config")[0] == os.EX_CONFIG


def test_migrate_needs_the_owner_only() -> None:
    variables = {name: value for name, value in os.environ.items() if not name.startswith("RELAIS_")}
    assert run(variables, "migrate")[0] == os.EX_CONFIG
    owner = {"RELAIS_POSTGRES_OWNER_DSN": "postgres://o@db/relais", "RELAIS_KEYS_OWNER_DSN": "postgres://o@db/relais_keys"}
    code, said, _ = run({**variables, **owner}, "migrate")
    assert (code, said) == (0, ["migrated routing", "migration_done"])


@pytest.mark.parametrize("arguments", [(), ("sing",), ("serve", "--loud")])
def test_a_wrong_command_is_said_to_be_one(environment: dict[str, str], arguments: tuple[str, ...]) -> None:
    program = PROGRAM.replace("sys.argv[1:2]", "sys.argv[1:]")
    command = [sys.executable, "-c", program, *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert done.returncode == os.EX_USAGE
