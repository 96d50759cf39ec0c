"""The bus on a real nats-server: the laws every bus obeys, then what only a real server can do to us."""

import asyncio
import secrets
from collections.abc import AsyncIterator

import pytest

from relais.contracts.subjects import stream_of
from relais.testing.bus_place import ALL, BusPlace, fetch_all, publish_all, run_of
from relais.testing.bus_suite import BusSuite
from relais.testing.nats import TestNats, run_nats
from relais.transport.bus import BusUnavailable, Delivered, PublishUnknown, ServerRefused, StreamMissing, StreamState, Subscription
from relais.transport.nats import NatsBus
from relais.transport.nats_api import JetStreamApi
from relais.transport.nats_check import check_server, require_version
from relais.transport.nats_client import NatsAddress
from relais.transport.wire import encode_batch


async def connect(server: TestNats, name: str = "test") -> NatsBus:
    return await NatsBus.connect(NatsAddress((server.url,), name))


async def state_when_back(bus: NatsBus) -> StreamState:
    """How the stream stands, as soon as the server answers again."""
    async with asyncio.timeout(20):
        while True:
            await bus.client.wait_reachable(10)
            try:
                return await bus.state("routing")
            except BusUnavailable:
                continue


async def fetch_until(bus: NatsBus, pull: Subscription, count: int) -> list[Delivered]:
    """Fetch so many across any breaking and mending of the connection."""
    got: list[Delivered] = []
    async with asyncio.timeout(20):
        while len(got) < count:
            await bus.client.wait_reachable(10)
            try:
                got += await pull.fetch(256, 1.0)
            except BusUnavailable:
                continue
    return got


async def publish_until_it_breaks(bus: NatsBus, last: int) -> int:
    """Publish batch after batch of 400; the last sequence that was answered."""
    while True:
        try:
            last = await bus.publish("routing", run_of("routing", last + 1, last + 400), last)
        except (PublishUnknown, BusUnavailable):
            return last


class TestNatsBus(BusSuite):
    @pytest.fixture
    async def place(self, nats_server: TestNats) -> AsyncIterator[BusPlace]:
        bus, other = await connect(nats_server), await connect(nats_server)
        log = f"log{secrets.token_hex(4)}"

        async def wipe() -> None:
            await JetStreamApi(bus.client).ask(f"STREAM.DELETE.{stream_of(log)}")

        async def lose(sequence: int) -> None:
            await JetStreamApi(bus.client).ask(f"STREAM.MSG.DELETE.{stream_of(log)}", {"seq": sequence, "no_erase": True})

        yield BusPlace(bus, other, log, wipe, lose)
        await bus.close()
        await other.close()


@pytest.fixture
async def own_server() -> AsyncIterator[TestNats]:
    """A server of this test's own, because the test breaks it."""
    with run_nats() as server:
        yield server


async def test_a_server_that_dies_mid_publish_leaves_an_unknown_and_the_stream_tells_what_happened(own_server: TestNats) -> None:
    bus = await connect(own_server)
    last = await publish_all(bus, "routing", run_of("routing", 1, 10))
    killing = asyncio.ensure_future(asyncio.to_thread(own_server.kill))
    last = await publish_until_it_breaks(bus, last)
    await killing
    with pytest.raises(BusUnavailable):
        await bus.publish("routing", run_of("routing", last + 1, last + 2), last)
    await asyncio.to_thread(own_server.restart)
    state = await state_when_back(bus)
    assert state.last_sequence == state.last_position
    assert state.last_position in (last, last + 400)
    await bus.publish("routing", run_of("routing", state.last_position + 1, state.last_position + 5), state.last_sequence)
    await bus.close()


async def test_a_batch_that_is_begun_and_given_up_leaves_no_gap(nats_server: TestNats) -> None:
    bus, dying = await connect(nats_server), await connect(nats_server)
    log = f"log{secrets.token_hex(4)}"
    await publish_all(bus, log, run_of(log, 1, 10))
    frames = encode_batch(run_of(log, 11, 14), 10, "given-up", "_INBOX.nobody")
    await dying.client.send(frames[: frames.rindex(b"HPUB ")])
    await dying.client.flush()
    await dying.close()
    await publish_all(bus, log, run_of(log, 11, 20))
    extent = await bus.extent(log)
    assert (extent.last_sequence, extent.messages, extent.whole) == (20, 20, True)
    await bus.close()


async def test_a_lost_message_still_shows_after_a_restart(own_server: TestNats) -> None:
    bus = await connect(own_server)
    await bus.ensure_stream("routing")
    await bus.rebase("routing", 0, 1)
    await publish_all(bus, "routing", run_of("routing", 1, 10))
    await JetStreamApi(bus.client).ask("STREAM.MSG.DELETE.RELAIS_ROUTING", {"seq": 10, "no_erase": True})
    await asyncio.to_thread(own_server.kill)
    await asyncio.to_thread(own_server.restart)
    state = await state_when_back(bus)
    assert (state.last_sequence, state.last_position, state.messages, state.whole) == (10, 9, 9, False)
    await bus.close()


async def test_a_pull_survives_a_restart_of_the_server_and_gives_nothing_twice(own_server: TestNats) -> None:
    bus = await connect(own_server)
    await publish_all(bus, "routing", run_of("routing", 1, 600))
    pull = await bus.subscribe("routing", ALL, 1)
    before = await fetch_all(pull, 300, 100)
    await asyncio.to_thread(own_server.kill)
    await asyncio.to_thread(own_server.restart)
    await state_when_back(bus)
    await publish_all(bus, "routing", run_of("routing", 601, 700))
    after = await fetch_until(bus, pull, 700 - len(before))
    assert [delivered.sequence for delivered in [*before, *after]] == list(range(1, 701))
    await bus.close()


async def test_a_server_that_lost_everything_has_no_stream_and_makes_another(own_server: TestNats) -> None:
    bus = await connect(own_server)
    first = await bus.ensure_stream("routing")
    await publish_all(bus, "routing", run_of("routing", 1, 10))
    pull = await bus.subscribe("routing", ALL, 1)
    await fetch_all(pull, 10)
    await asyncio.to_thread(own_server.kill)
    await asyncio.to_thread(own_server.restart, lose_everything=True)
    with pytest.raises(StreamMissing):
        await fetch_until(bus, pull, 1)
    with pytest.raises(StreamMissing):
        await bus.publish("routing", run_of("routing", 11, 12), 10)
    second = await bus.ensure_stream("routing")
    assert (second.incarnation != first.incarnation, second.last_sequence) == (True, 0)
    await bus.close()


async def test_a_deleted_consumer_is_made_again_where_it_was(nats_server: TestNats) -> None:
    bus = await connect(nats_server)
    log = f"log{secrets.token_hex(4)}"
    await publish_all(bus, log, run_of(log, 1, 50))
    pull = await bus.subscribe(log, ALL, 1)
    await fetch_all(pull, 50)
    api = JetStreamApi(bus.client)
    for consumer in (await api.ask(f"CONSUMER.NAMES.{stream_of(log)}"))["consumers"]:
        await api.ask(f"CONSUMER.DELETE.{stream_of(log)}.{consumer}")
    await publish_all(bus, log, run_of(log, 51, 60))
    assert [delivered.sequence for delivered in await fetch_all(pull, 10)] == list(range(51, 61))
    await pull.close()
    assert (await api.ask(f"CONSUMER.NAMES.{stream_of(log)}"))["consumers"] in (None, [])
    await bus.close()


async def test_the_server_is_looked_at_before_it_is_trusted(nats_server: TestNats) -> None:
    bus = await connect(nats_server)
    facts = await check_server(bus.client)
    assert facts.version >= (2, 14, 7)
    assert facts.sync_always is None
    await bus.close()


@pytest.mark.parametrize(("version", "said"), [((2, 9, 10), "Debian 12"), ((2, 14, 6), "2.14.7 or newer"), ((1, 4, 1), "too old")])
def test_an_old_server_is_refused_by_name(version: tuple[int, int, int], said: str) -> None:
    with pytest.raises(ServerRefused, match=said):
        require_version(version)


async def test_nobody_at_the_address_is_said_and_not_waited_for() -> None:
    with pytest.raises(BusUnavailable, match="no nats-server answers"):
        await NatsBus.connect(NatsAddress(("nats://127.0.0.1:1",), "test", start_timeout_seconds=0.3))
