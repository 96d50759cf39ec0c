"""The floor under the bus: what this machine's nats-server takes and gives through the same connection, beside our publishing and reading.

*raw* sends frames that were written beforehand and counts the messages that come back without looking into them; *ours* is
`Bus.publish` and `Subscription.fetch`. One stream, one client, one batch at a time, `sync_interval: always`.

    python -m tests.bench.floor_bus [MESSAGES]
"""

import asyncio
import secrets
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from uuid import uuid4

import msgspec
import psutil
import uvloop

from relais.contracts.subjects import PARTITIONS, stream_of
from relais.testing.nats import run_nats
from relais.transport.bus import Announcement
from relais.transport.nats import NatsBus
from relais.transport.nats_api import JetStreamApi
from relais.transport.nats_client import NatsAddress
from relais.transport.wire import encode_batch

MESSAGES = 40_000
FACT_BYTES = 1200
BATCHES = (1, 32, 256, 500)
FETCH_MAXIMUM = 256
WAIT_SECONDS = 5.0


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One measurement. CPU is in microseconds per message: of nats-server, and of this process."""

    kind: str
    batch_messages: int
    messages_per_s: float
    server_cpu_us: float
    client_cpu_us: float


def announcements(log: str, count: int) -> list[Announcement]:
    """Facts as they travel, over all partitions."""
    payload = secrets.token_bytes(FACT_BYTES)
    return [
        Announcement(
            log=log,
            partition=position % PARTITIONS,
            position=position,
            previous=max(0, position - PARTITIONS),
            tag="identity.verified.v1",
            tenant="chu-nord",
            stream=str(uuid4()),
            version=1,
            event_id=str(uuid4()),
            recorded_at="2026-03-01T08:00:00.000001+00:00",
            actor="service:identity",
            traceparent="",
            payload=payload,
        )
        for position in range(1, count + 1)
    ]


async def measure_floor(url: str, server: psutil.Process, *, messages: int = MESSAGES) -> list[Figure]:
    """All figures, in streams of their own on this server, which should be otherwise idle; the streams are deleted again."""
    bus = await NatsBus.connect(NatsAddress((url,), "floor"))
    figures: list[Figure] = []
    for size in BATCHES:
        count = min(messages, 200 * size)
        for kind, publish in (("raw publish", _publish_raw), ("ours publish", _publish_ours)):
            log = f"floor{secrets.token_hex(4)}"
            await bus.ensure_stream(log)
            figures.append(await _timed(server, kind, size, count, await publish(bus, announcements(log, count), size)))
            if size == BATCHES[-1]:
                read = _read_raw if kind.startswith("raw") else _read_ours
                figures.append(await _timed(server, kind.replace("publish", "read"), FETCH_MAXIMUM, count, await read(bus, log, count)))
            await JetStreamApi(bus.client).ask(f"STREAM.DELETE.{stream_of(log)}")
    await bus.close()
    return figures


Work = Callable[[], Awaitable[None]]


async def _publish_raw(bus: NatsBus, facts: list[Announcement], size: int) -> Work:
    client, answers = bus.client, _Arrivals()
    inbox = client.new_inbox()
    await client.subscribe_raw(inbox, answers.on_message)
    frames = [encode_batch(facts[at : at + size], at, secrets.token_hex(8), inbox) for at in range(0, len(facts), size)]

    async def work() -> None:
        for number, block in enumerate(frames, start=1):
            await client.send(block)
            await answers.reach(number)

    return work


async def _publish_ours(bus: NatsBus, facts: list[Announcement], size: int) -> Work:
    async def work() -> None:
        last = 0
        for at in range(0, len(facts), size):
            last = await bus.publish(facts[0].log, facts[at : at + size], last)

    return work


async def _read_raw(bus: NatsBus, log: str, count: int) -> Work:
    client, arrivals = bus.client, _Arrivals()
    inbox = client.new_inbox()
    await client.subscribe_raw(inbox, arrivals.on_message)
    config = {"name": "raw", "ack_policy": "none", "deliver_policy": "all", "mem_storage": True, "filter_subjects": [f"relais.{log}.>"]}
    await JetStreamApi(client).ask(f"CONSUMER.CREATE.{stream_of(log)}.raw", {"stream_name": stream_of(log), "config": config})

    async def work() -> None:
        for asked in range(0, count, FETCH_MAXIMUM):
            batch = min(FETCH_MAXIMUM, count - asked)
            await client.publish(f"$JS.API.CONSUMER.MSG.NEXT.{stream_of(log)}.raw", b'{"batch":%d}' % batch, reply=inbox)
            await arrivals.reach(asked + batch)

    return work


async def _read_ours(bus: NatsBus, log: str, count: int) -> Work:
    async def work() -> None:
        subscription = await bus.subscribe(log, range(PARTITIONS), 1)
        got = 0
        while got < count:
            got += len(await subscription.fetch(FETCH_MAXIMUM, WAIT_SECONDS))
        await subscription.close()

    return work


class _Arrivals:
    """Counts what comes without looking at it."""

    def __init__(self) -> None:
        self._count = 0
        self._wanted = 0
        self._reached = asyncio.Event()

    def on_message(self, _subject: bytes, _reply: bytes, _headers: bytes, _data: bytes) -> None:
        self._count += 1
        if self._count >= self._wanted:
            self._reached.set()

    async def reach(self, count: int) -> None:
        self._wanted = count
        self._reached.clear()
        if self._count < count:
            await asyncio.wait_for(self._reached.wait(), WAIT_SECONDS)


async def _timed(server: psutil.Process, kind: str, size: int, count: int, work: Work) -> Figure:
    cpu = server.cpu_times()
    server_before, client_before, began = cpu.user + cpu.system, time.process_time(), time.perf_counter()
    await work()
    took, client = time.perf_counter() - began, time.process_time() - client_before
    cpu = server.cpu_times()
    return Figure(
        kind=kind,
        batch_messages=size,
        messages_per_s=round(count / took),
        server_cpu_us=round((cpu.user + cpu.system - server_before) / count * 1e6, 1),
        client_cpu_us=round(client / count * 1e6, 1),
    )


def table(figures: Sequence[Figure]) -> str:
    """The figures as lines of text."""
    head = f"{'kind':<14}{'batch':>6}{'messages/s':>12}{'client us':>11}{'server us':>11}"
    lines = [
        f"{figure.kind:<14}{figure.batch_messages:>6}{figure.messages_per_s:>12.0f}{figure.client_cpu_us:>11.1f}{figure.server_cpu_us:>11.1f}"
        for figure in figures
    ]
    return "\n".join([head, *lines])


def _main(messages: int) -> None:
    with run_nats() as running:
        server = next(one for one in psutil.Process().children(recursive=True) if one.name() == "nats-server")
        print(table(uvloop.run(measure_floor(running.url, server, messages=messages))))


if __name__ == "__main__":
    _main(int(sys.argv[1]) if len(sys.argv) > 1 else MESSAGES)
