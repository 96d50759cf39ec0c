"""The bus on JetStream: one stream per log, fenced atomic batches in, one pull per reader out."""

import asyncio
import itertools
import secrets
from collections.abc import Callable, Sequence
from typing import Final

import msgspec
import nats.errors
import structlog

from relais.contracts.subjects import PARTITIONS, partition_filter, stream_of
from relais.transport.bus import Announcement, BusUnavailable, PublishUnknown, StreamExtent, StreamMissing, StreamState, WrongLastSequence
from relais.transport.nats_api import (
    BASE_KEY,
    FRONT_KEY,
    STREAM_NAME_IN_USE,
    WRONG_LAST_SEQUENCE,
    ApiRefusal,
    JetStreamApi,
    extent_of,
    metadata_of,
)
from relais.transport.nats_client import NatsAddress, RawClient, RawSubscription
from relais.transport.nats_pull import NatsSubscription
from relais.transport.wire import encode_batch

PUBLISH_TIMEOUT_SECONDS: Final = 5.0
REPLICAS_IN_PRODUCTION: Final = 3

_NO_RESPONDERS = b"NATS/1.0 503"
_log = structlog.get_logger("relais.transport")


class _PublishError(msgspec.Struct):
    err_code: int = 0
    description: str = ""


class _PublishAnswer(msgspec.Struct):
    seq: int = 0
    error: _PublishError | None = None


_answers = msgspec.json.Decoder(_PublishAnswer)


def bell_of(log: str) -> str:
    """The subject of a log's doorbell: core NATS, never stored."""
    return f"relais.bell.{log}"


class NatsBus:
    """See `relais.transport.bus.Bus`. Make it with `connect`; `close` gives the connection up."""

    def __init__(self, client: RawClient, replicas: int = 1) -> None:
        self._client = client
        self._api = JetStreamApi(client)
        self._replicas = replicas
        self._batch_prefix = secrets.token_hex(6)
        self._numbers = itertools.count(1)
        self._waiting: dict[bytes, asyncio.Future[tuple[bytes, bytes] | None]] = {}
        self._answers: RawSubscription | None = None
        self._answer_prefix = client.new_inbox()
        client.on_loss(self._lose_answers)

    @classmethod
    async def connect(cls, address: NatsAddress, *, replicas: int = 1) -> "NatsBus":
        """Connect and be ready to publish. `replicas` is how many servers keep each stream (3 in production). Raises `BusUnavailable`."""
        bus = cls(await RawClient.connect_to(address), replicas)
        bus._answers = await bus._client.subscribe_raw(f"{bus._answer_prefix}.*", bus._on_answer)
        return bus

    @property
    def client(self) -> RawClient:
        """The connection, for `check_server` and for readiness (`client.is_connected`)."""
        return self._client

    async def close(self) -> None:
        """Close the connection; what was not answered stays unknown."""
        await self._client.leave()

    async def ensure_stream(self, log: str) -> StreamState:
        wanted = self._configuration(log)
        try:
            present = (await self._api.stream(stream_of(log)))["config"]
            if any(present.get(key) != value for key, value in wanted.items()):
                await self._configure("UPDATE", log, {**present, **wanted})
        except StreamMissing:
            await self._configure("CREATE", log, wanted)
        return await self.state(log)

    async def state(self, log: str) -> StreamState:
        name = stream_of(log)
        answer = await self._api.stream(name)
        extent, base = extent_of(answer), int(metadata_of(answer).get(BASE_KEY, 0))
        if extent.first_sequence > extent.last_sequence:
            return StreamState(**msgspec.structs.asdict(extent), last_position=0, last_positions={}, base=base)
        filters = [partition_filter(log, partition) for partition in range(PARTITIONS)]
        last, *lasts = await asyncio.gather(
            self._api.message(name, seq=extent.last_sequence),
            *(self._api.message(name, last_by_subj=subjects) for subjects in filters),
        )
        present = [announcement for announcement in lasts if announcement is not None]
        if last is None:
            # Trimmed or published to in between: what was read is not of one moment, so it is not said. Unless nothing moved: then
            # the last message itself was lost, and the last one left is its end.
            if not present or await self.extent(log) != extent:
                raise BusUnavailable("the stream changed while it was looked at")
            last = max(present, key=lambda announcement: announcement.position)
        return StreamState(
            **msgspec.structs.asdict(extent),
            last_position=last.position,
            last_positions={announcement.partition: announcement.position for announcement in present},
            base=base,
            last_event_id=last.event_id,
            last_event_ids={announcement.partition: announcement.event_id for announcement in present},
        )

    async def extent(self, log: str) -> StreamExtent:
        return await self._api.extent(stream_of(log))

    async def sequence_after(self, log: str, position: int) -> int:
        name = stream_of(log)
        extent = await self._api.extent(name)
        low, high = extent.first_sequence, extent.last_sequence + 1
        while low < high:
            middle = (low + high) // 2
            found = await self._api.message(name, seq=middle, next_by_subj=f"relais.{log}.>")
            if found is None or found.position > position:
                high = middle
            else:
                low = middle + 1
        return low

    async def publish(self, log: str, batch: Sequence[Announcement], expected_last_sequence: int) -> int:
        number = b"%d" % next(self._numbers)
        reply = f"{self._answer_prefix}.{number.decode()}"
        frames = encode_batch(batch, expected_last_sequence, f"{self._batch_prefix}-{number.decode()}", reply)
        answered: asyncio.Future[tuple[bytes, bytes] | None] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answered
        try:
            await self._client.send(frames)
            answer = await asyncio.wait_for(answered, PUBLISH_TIMEOUT_SECONDS)
        except (TimeoutError, OSError, nats.errors.Error) as error:
            raise PublishUnknown(f"no answer for {len(batch)} messages: {type(error).__name__}") from error
        finally:
            del self._waiting[number]
        if answer is None:
            raise PublishUnknown(f"the connection broke before the answer for {len(batch)} messages")
        return _last_sequence(log, *answer)

    async def subscribe(self, log: str, partitions: Sequence[int], start_sequence: int) -> NatsSubscription:
        subscription = NatsSubscription(self._client, log, partitions, start_sequence)
        await subscription.start()
        return subscription

    async def trim(self, log: str, below_sequence: int) -> None:
        name = stream_of(log)
        extent = await self._api.extent(name)
        # A purge above the end would move the end: never ask for more than there is.
        below = min(below_sequence, extent.last_sequence + 1)
        if below > extent.first_sequence:
            try:
                await self._api.ask(f"STREAM.PURGE.{name}", {"seq": below})
            except ApiRefusal as refusal:
                raise BusUnavailable(str(refusal)) from refusal

    async def rebase(self, log: str, position: int, front: int) -> None:
        answer = await self._api.stream(stream_of(log))
        metadata = {**metadata_of(answer), BASE_KEY: str(position), FRONT_KEY: str(front)}
        await self._configure("UPDATE", log, {**answer["config"], "metadata": metadata})

    async def ring(self, log: str) -> None:
        try:
            await self._client.publish(bell_of(log))
        except (nats.errors.Error, OSError):
            _log.debug("bell_not_rung", log=log)

    async def listen(self, log: str, wake: Callable[[], None]) -> "NatsListening":
        return NatsListening(self._client, await self._client.subscribe_raw(bell_of(log), lambda *_: wake()))

    async def _configure(self, verb: str, log: str, configuration: dict[str, object]) -> None:
        try:
            await self._api.ask(f"STREAM.{verb}.{stream_of(log)}", configuration)
        except ApiRefusal as refusal:
            # Two replicas may make the stream at the same moment; the second finds it made.
            if refusal.code != STREAM_NAME_IN_USE:
                raise BusUnavailable(str(refusal)) from refusal

    def _configuration(self, log: str) -> dict[str, object]:
        return {
            "name": stream_of(log),
            "subjects": [f"relais.{log}.>"],
            "storage": "file",
            "retention": "limits",
            "discard": "old",
            "num_replicas": self._replicas,
            "allow_atomic": True,
        }

    def _on_answer(self, subject: bytes, _reply: bytes, headers: bytes, data: bytes) -> None:
        answered = self._waiting.get(subject[len(self._answer_prefix) + 1 :])
        if answered is not None and not answered.done():
            answered.set_result((headers, data))

    def _lose_answers(self) -> None:
        for answered in self._waiting.values():
            if not answered.done():
                answered.set_result(None)


class NatsListening:
    """See `relais.transport.bus.Listening`."""

    def __init__(self, client: RawClient, raw: RawSubscription) -> None:
        self._client = client
        self._raw = raw

    async def close(self) -> None:
        try:
            await self._client.unsubscribe_raw(self._raw)
        except (nats.errors.Error, OSError):
            _log.debug("bus_unsubscribe_failed")


def _last_sequence(log: str, headers: bytes, data: bytes) -> int:
    """The sequence in a publish answer, or the error that the answer is."""
    if headers.startswith(_NO_RESPONDERS):
        raise StreamMissing(stream_of(log))
    answer = _answers.decode(data)
    if answer.error is None:
        return answer.seq
    if answer.error.err_code == WRONG_LAST_SEQUENCE:
        raise WrongLastSequence(f"{stream_of(log)}: {answer.error.description}")
    # Whatever else it is (no space, no leader, too many batches open): read the stream before anything is said again.
    raise PublishUnknown(f"{stream_of(log)}: {answer.error.err_code} {answer.error.description}")
