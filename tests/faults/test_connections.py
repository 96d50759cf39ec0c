"""Attacks the connection to the record at its worst moment: after COMMIT, before the answer."""

import os
import signal
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

import pytest

from relais.testing.proxy import Proxy, open_proxy
from tests.faults.arena import Arena
from tests.faults.conftest import LONG
from tests.faults.scene import LOOK_SECONDS, Scene
from tests.faults.waiting import until

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]

CUTS: Final = 12 if LONG else 3
CUT_SECONDS: Final = 20.0
SOCKET: Final = ".s.PGSQL.5432"

CONSUMERS: Final = ("identity-1", "routing-1", "delivery-1")
UNKNOWN: Final = ("append_outcome_unknown",)

# An intake carries bodies, an append of a consumer some facts; looks, renewals, marks and most claims are shorter.
INTAKE_BYTES: Final = 9_000
APPEND_BYTES: Final = 4_000


async def test_a_connection_cut_between_commit_and_answer_repeats_nothing(scene: Scene) -> None:
    async with _behind_proxies(scene.arena) as proxies, scene.under_load("connection cut between COMMIT and answer") as round_:
        round_.struck()
        for _ in range(CUTS):
            await _cut_ingestion([proxy for part, proxy in proxies.items() if part.startswith("ingestion")])
            for part in CONSUMERS:
                await _cut_consumer(scene.arena, part, proxies[part])
    sent_once = [sent for sent in round_.load.sent if len(sent.attempts) == 1]
    # It was committed and not answered, so it was decided again, and found to be there: by the service, not by its sender.
    assert any(sent.receipt is not None and sent.receipt.duplicate for sent in sent_once)


async def _cut_ingestion(proxies: list[Proxy]) -> None:
    """Throw away the answer to the next intake, whichever replica makes it: its documents make it longer than anything else."""
    cut = sum(proxy.cut_replies for proxy in proxies)
    for proxy in proxies:
        proxy.cut_at_reply_to(INTAKE_BYTES)
    await until(lambda: sum(proxy.cut_replies for proxy in proxies) > cut, CUT_SECONDS, "ingestion appends nothing")


async def _cut_consumer(arena: Arena, part: str, proxy: Proxy) -> None:
    """Throw answers away until one was that of an append, which the part says in its log; a claim of leases can be as long."""
    said, armed_at = arena.said(part, UNKNOWN), -1

    def hit() -> bool:
        nonlocal armed_at
        if armed_at < proxy.cut_replies:
            armed_at = proxy.cut_replies
            proxy.cut_at_reply_to(APPEND_BYTES)
        return arena.said(part, UNKNOWN) > said

    await until(hit, CUT_SECONDS, f"{part} appends nothing", LOOK_SECONDS)
    proxy.release()


@asynccontextmanager
async def _behind_proxies(arena: Arena) -> AsyncIterator[dict[str, Proxy]]:
    """Let some replicas reach the record through a proxy, and put everything back afterwards."""
    # Nobody knows which replica of ingestion answers a stream; of the others, each writes.
    parts = ["ingestion-1", "ingestion-2", *CONSUMERS]
    async with AsyncExitStack() as stack:
        # A socket's name is short, or it is none.
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="cut-")))
        proxies = {}
        for part in parts:
            (folder / part).mkdir()
            proxies[part] = await stack.enter_async_context(open_proxy(arena.socket_folder / SOCKET, folder / part / SOCKET))
            role = f"relais_{part.partition('-')[0]}"
            arena.set_variables(part, {"RELAIS_POSTGRES_DSN": arena.dsn(role, folder / part)})
        await _restart(arena, parts)
        try:
            yield proxies
        finally:
            for part in parts:
                arena.set_variables(part, {"RELAIS_POSTGRES_DSN": ""})
            await _restart(arena, parts)


async def _restart(arena: Arena, parts: list[str]) -> None:
    before = {part: arena.pid(part) for part in parts}
    for pid in before.values():
        os.kill(pid, signal.SIGTERM)
    for part, pid in before.items():
        await arena.restarted(part, pid)
