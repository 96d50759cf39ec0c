"""Attacks the embedded stack as a whole: does it come up whole or not at all, keep its data, and mend what dies?"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import asyncpg
import msgspec
import nats
import psutil
import pytest

from relais.embedded.database import with_login
from relais.embedded.keys import Keys
from relais.embedded.main import NOT_UP
from relais.embedded.report import PartState, Phase, Report
from relais.embedded.stack import Stack, StackFailed
from relais.testing.nats import TestNats
from relais.testing.postgres import TestPostgres

pytestmark = pytest.mark.stack


def owner_dsn(stack: Stack) -> str:
    """The record's database, as the role that migrates."""
    socket = stack.report().part("postgres").addresses["socket"]
    password = Keys(stack.state.keys).database_password("relais_owner")
    return with_login(f"postgresql://x@/x?host={socket}&port=5432", "relais_owner", password, "relais")


def command(stack: Stack, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "relais.embedded.main", *arguments],
        env={**os.environ, "RELAIS_HOME": str(stack.state.root)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


async def test_what_was_written_before_down_is_there_after_the_next_up(stack: Stack) -> None:
    report = stack.up(replicas=2)
    assert report.phase is Phase.UP
    assert {part.name for part in report.parts if part.name.startswith("delivery")} == {"delivery-1", "delivery-2"}
    assert all(part.state is PartState.READY for part in report.parts)
    connection = await asyncpg.connect(owner_dsn(stack))
    await connection.execute("CREATE TABLE kept AS SELECT 1 AS one")
    await connection.close()
    addresses = {part.name: part.addresses for part in report.parts}

    assert stack.down()
    assert stack.report().phase is Phase.DOWN
    again = stack.up(replicas=2)

    assert {part.name: part.addresses for part in again.parts} == addresses
    connection = await asyncpg.connect(owner_dsn(stack))
    assert await connection.fetchval("SELECT one FROM kept") == 1
    assert await connection.fetchval("SHOW fsync") == "on"
    assert await connection.fetchval("SHOW data_checksums") == "on"
    await connection.close()


async def test_whatever_part_dies_is_started_again(stack: Stack) -> None:
    stack.up()
    before = {part.name: part.pid for part in stack.report().parts}
    for part, number in (
        ("routing-1", signal.SIGKILL),
        ("delivery-1", signal.SIGTERM),
        ("postgres", signal.SIGQUIT),
        ("sandbox", signal.SIGKILL),
    ):
        stack.signal(part, number)
        stack.wait_for(part, restarts=1)
        assert stack.report().part(part).pid != before[part]
    # The transport may be deleted under way: it comes back empty, and is filled from the record.
    shutil.rmtree(stack.state.nats / "jetstream")
    stack.signal("nats-server", signal.SIGKILL)
    stack.wait_for("nats-server", restarts=1)
    client = await nats.connect(
        stack.report().part("nats-server").addresses["nats"], nkeys_seed=str(Keys(stack.state.keys).nkey_seed("operator"))
    )
    assert (await client.jetstream().account_info()).streams == 0
    await client.close()
    assert stack.report().part("ingestion-1").restarts == 0


def test_a_killed_supervisor_takes_everything_along_and_the_next_up_believes_no_old_number(stack: Stack) -> None:
    report = stack.up()
    survivor = report.part("identity-1")
    assert survivor.pid is not None
    # A paused process cannot obey the leash: it lives on, with our port, when its supervisor is gone.
    outlived = psutil.Process(survivor.pid)
    outlived.suspend()
    others = [psutil.Process(part.pid) for part in report.parts if part.pid and part.pid != survivor.pid]
    os.kill(report.supervisor, signal.SIGKILL)
    _, alive = psutil.wait_procs(others, timeout=30)
    assert alive == []
    assert outlived.is_running()
    assert stack.report().phase is Phase.DOWN
    assert all(part.pid is None for part in stack.report().parts), "numbers of dead processes are not shown as if they lived"
    stranger = subprocess.Popen(["sleep", "600"])
    try:
        remembered = msgspec.json.decode(stack.state.stack_file.read_bytes(), type=Report)
        remembered.part("routing-1").pid = stranger.pid
        stack.state.stack_file.write_bytes(msgspec.json.encode(remembered))
        assert stack.up().phase is Phase.UP
        assert not outlived.is_running() or outlived.status() == psutil.STATUS_ZOMBIE
        assert stranger.poll() is None
    finally:
        with contextlib.suppress(psutil.NoSuchProcess):
            outlived.kill()
        stranger.kill()
        stranger.wait()


@pytest.mark.parametrize("order", ["routing.migrate", "delivery.start"])
def test_a_start_that_fails_says_why_and_leaves_nothing_behind(stack: Stack, order: str) -> None:
    service = order.partition(".")[0]
    with pytest.raises(StackFailed, match=f"{service} cannot") as failure:
        stack.up(environment={"RELAIS_FAILPOINTS": order})
    assert "Read " in failure.value.advice
    assert stack.report().phase is Phase.FAILED
    assert not [process for process in psutil.process_iter(["cmdline"]) if str(stack.state.root) in " ".join(process.info["cmdline"] or ())]
    shown = command(stack, "status")
    assert shown.returncode == NOT_UP
    assert f"{service} cannot" in shown.stdout


async def test_servers_that_run_already_are_used_and_left_running(stack: Stack, postgres: TestPostgres, nats_server: TestNats) -> None:
    report = stack.up(environment={"RELAIS_POSTGRES_DSN": postgres.dsn(), "RELAIS_NATS_URL": nats_server.url})
    assert {part.name for part in report.parts if part.state is PartState.EXTERNAL} == {"postgres", "nats-server"}
    assert not stack.state.postgres_data.exists()
    connection = await asyncpg.connect(postgres.dsn("relais_keys", "relais_delivery"))
    await connection.close()
    stack.down()
    connection = await asyncpg.connect(postgres.dsn())
    for name in ("relais", "relais_keys"):
        await connection.execute(f"DROP DATABASE {name}")
    await connection.close()


async def test_a_database_that_cannot_be_reached_is_said(stack: Stack) -> None:
    with pytest.raises(StackFailed, match="Postgres could not be prepared") as failure:
        stack.up(environment={"RELAIS_POSTGRES_DSN": f"postgresql://postgres@/postgres?host={stack.state.root}"})
    assert "RELAIS_POSTGRES_DSN" in failure.value.advice


def test_one_process_can_be_given_other_variables_without_touching_the_rest(stack: Stack) -> None:
    stack.up()
    stack.state.environment_file.write_text('[routing-1]\nRELAIS_FAILPOINTS = "routing.start"\n')
    stack.signal("routing-1", signal.SIGKILL)
    stack.wait_for("routing-1", PartState.WAITING, restarts=1)
    assert "status" in stack.report().part("routing-1").said
    assert stack.report().phase is Phase.UP
    stack.state.environment_file.unlink()
    stack.wait_for("routing-1", PartState.READY, restarts=2)


def test_the_commands_say_what_is_and_exit_accordingly(stack: Stack) -> None:
    assert command(stack, "status").returncode == NOT_UP
    started = command(stack, "up", "--replicas", "1")
    assert started.returncode == 0, started.stderr
    assert "making a database cluster (once)" in started.stdout
    second = command(stack, "up")
    assert second.returncode == 1
    assert "already running" in second.stderr
    assert "make down" in second.stderr
    told = command(stack, "status", "--json")
    assert told.returncode == 0
    report = msgspec.json.decode(told.stdout, type=Report)
    assert (report.phase, {part.restarts for part in report.parts}) == (Phase.UP, {0}), "the second start disturbed nothing"
    assert Path(report.part("ingestion-1").log).read_text().startswith("ingestion serves as ingestion-1")
    stopped = command(stack, "down")
    assert stopped.returncode == 0
    assert "data stay" in stopped.stdout
    assert "was not up" in command(stack, "down").stdout
