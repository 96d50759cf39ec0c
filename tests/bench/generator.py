"""The load generator: a process of its own that submits documents over SubmitDocuments streams and writes down what it was answered.

It is told what to do in lines of JSON on standard input and answers each with one on standard output, so that whoever measures can
look at the clocks of all processes just before and just after.

    {"address": "127.0.0.1:7408", …, "documents": 20000}        →   {"sent": 20000, "refused": 0, …}

Closed loop (`per_second` 0): as many documents are under way as the streams allow, and at most `road_documents` are acknowledged or not
but have not arrived at the sink; what may go at the same moment goes in one message, as `relais.client` sends it. Open loop: one every
1/`per_second` seconds, whatever the answers do; its latencies count from the moment a document was due, not from when it could be sent.
"""

import asyncio
import sys
import time
from array import array
from pathlib import Path
from typing import Final, TypeAlias

import grpc
import grpc.aio
import msgspec
import uvloop

from relais.api.ingestion.v1 import ingestion_pb2
from tests.bench.documents import Template, templates, together

METHOD: Final = "/relais.api.ingestion.v1.IngestionService/SubmitDocuments"
MESSAGE_BYTES_MAXIMUM: Final = 8 * 1024 * 1024
STREAM_SECONDS_MAXIMUM: Final = 3600.0
LINE_BYTES_MAXIMUM: Final = 1024 * 1024
ROAD_POLL_SECONDS: Final = 0.1
TOGETHER_DOCUMENTS_MAXIMUM: Final = 10

Call: TypeAlias = "grpc.aio.StreamStreamCall[bytes, bytes]"


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """One load. `run` makes its documents different from every other run's; `file` gets one `Line` each."""

    address: str
    authority_file: str
    certificate_file: str
    key_file: str
    run: int
    documents: int
    file: str
    streams: int = 4
    unanswered: int = 64
    per_second: float = 0.0
    sink_control_port: int = 0
    road_documents: int = 0


class Line(msgspec.Struct, frozen=True, array_like=True):
    """What became of one document: when it was due, sent and answered (wall clock), and where its receipt says it is."""

    number: int
    due_ns: int
    sent_ns: int
    answered_ns: int
    document: str
    tenant_sequence: int


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How a load went. `refused` are answers that were no receipt; `first_refusal` is the first one's word."""

    sent: int
    refused: int
    began_ns: int
    ended_ns: int
    first_refusal: str = ""


class Road:
    """How many documents may still be sent before more have arrived at the sink; without a limit, all."""

    def __init__(self, order: Order) -> None:
        self._port = order.sink_control_port
        self._limit = order.road_documents or sys.maxsize
        self._before = -1
        self._arrived = 0
        self._grew = asyncio.Event()

    async def room_for(self, number: int) -> None:
        """Wait until the document of this number (from 0) may go."""
        while not self.has_room_for(number):
            self._grew.clear()
            await self._grew.wait()

    def has_room_for(self, number: int) -> bool:
        """Whether the document of this number may go now."""
        return number - self._arrived < self._limit

    async def watch(self) -> None:
        """Ask the sink for ever."""
        while self._limit < sys.maxsize:
            total = await self._ask()
            self._before = total if self._before < 0 else self._before
            self._arrived = total - self._before
            self._grew.set()
            await asyncio.sleep(ROAD_POLL_SECONDS)

    async def _ask(self) -> int:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        writer.write(b"GET /total HTTP/1.0\r\n\r\n")
        answer = await reader.read()
        writer.close()
        return int(answer.rpartition(b"\r\n\r\n")[2])


class Load:
    """One order being carried out."""

    def __init__(self, order: Order, made: list[Template]) -> None:
        self._order = order
        self._made = made
        self._road = Road(order)
        self._next = 0
        self._takes_more = False
        self._due = array("q", bytes(8 * order.documents))
        self._sent = array("q", bytes(8 * order.documents))
        self._answers: list[tuple[int, ingestion_pb2.SubmitDocumentsResponse]] = []

    async def run(self) -> Outcome:
        """Send everything and wait for every answer."""
        watching = asyncio.create_task(self._road.watch())
        # Before the first document, and not while it waits.
        calls = [self._call(number) for number in range(self._order.streams)]
        began_ns = time.time_ns()
        async with asyncio.TaskGroup() as group:
            for place, (_, call) in enumerate(calls):
                room = asyncio.Semaphore(self._order.unanswered)
                group.create_task(self._write(call, room, place, began_ns))
                group.create_task(self._read(call, room))
        ended_ns = time.time_ns()
        watching.cancel()
        for channel, _ in calls:
            await channel.close(None)
        return self._write_down(began_ns, ended_ns)

    def _call(self, number: int) -> tuple[grpc.aio.Channel, Call]:
        order = self._order
        credentials = grpc.ssl_channel_credentials(
            Path(order.authority_file).read_bytes(), Path(order.key_file).read_bytes(), Path(order.certificate_file).read_bytes()
        )
        # A connection for each stream, as several sending systems would have.
        options = [
            ("grpc.use_local_subchannel_pool", 1),
            ("grpc.max_send_message_length", MESSAGE_BYTES_MAXIMUM),
            ("grpc.primary_user_agent", f"bench-{number}"),
        ]
        channel = grpc.aio.secure_channel(order.address, credentials, options=options)
        # Without functions that turn messages into bytes and back, grpc takes and gives bytes; its types do not know that.
        call: Call = channel.stream_stream(METHOD)(timeout=STREAM_SECONDS_MAXIMUM)  # type: ignore[call-arg]
        return channel, call

    async def _write(self, call: Call, room: asyncio.Semaphore, place: int, began_ns: int) -> None:
        order = self._order
        if order.per_second:
            await self._write_on_time(call, place, began_ns)
        while not order.per_second:
            await room.acquire()
            messages = [message] if (message := await self._next_message()) else []
            # Nothing is waited for: only what may go already goes along.
            while self._takes_more and messages and len(messages) < TOGETHER_DOCUMENTS_MAXIMUM and not room.locked():
                if self._next == order.documents or not self._road.has_room_for(self._next):
                    break
                await room.acquire()
                messages.append(await self._next_message())
            if not messages:
                break
            await call.write(together(messages))
        await call.done_writing()

    async def _next_message(self) -> bytes:
        """The next document as it is sent, once there is room for it on the road; nothing when there is no other."""
        if self._next == self._order.documents:
            return b""
        number, self._next = self._next, self._next + 1
        await self._road.room_for(number)
        self._due[number] = self._sent[number] = time.time_ns()
        return self._made[number % len(self._made)].message(self._order.run, number)

    async def _write_on_time(self, call: Call, place: int, began_ns: int) -> None:
        order = self._order
        for number in range(place, order.documents, order.streams):
            due_ns = began_ns + round(number * 1e9 / order.per_second)
            await asyncio.sleep(max(0.0, (due_ns - time.time_ns()) / 1e9))
            message = self._made[number % len(self._made)].message(order.run, number)
            self._due[number], self._sent[number] = due_ns, time.time_ns()
            await call.write(message)

    async def _read(self, call: Call, room: asyncio.Semaphore) -> None:
        # What the answers in it say is looked into when the load is over: here only their time and number count.
        async for answer in call:
            message = ingestion_pb2.SubmitDocumentsResponse.FromString(answer)
            self._answers.append((time.time_ns(), message))
            self._takes_more = self._takes_more or message.takes_more
            for _ in range(1 + len(message.more)):
                room.release()

    def _write_down(self, began_ns: int, ended_ns: int) -> Outcome:
        refusals = []
        encoder = msgspec.json.Encoder()
        with Path(self._order.file).open("wb") as file:
            for answered_ns, message in ((at, one) for at, answer in self._answers for one in (answer, *answer.more)):
                if not message.HasField("receipt"):
                    refusals.append(f"{message.status.code} {message.status.message}")
                    continue
                number, receipt = message.correlation, message.receipt
                document = receipt.document.rpartition("/")[2]
                line = Line(number, self._due[number], self._sent[number], answered_ns, document, receipt.tenant_sequence)
                file.write(encoder.encode(line) + b"\n")
        first = refusals[0] if refusals else ""
        return Outcome(sent=self._order.documents, refused=len(refusals), began_ns=began_ns, ended_ns=ended_ns, first_refusal=first)


def lines_of(file: Path) -> list[Line]:
    """What a load wrote down."""
    decoder = msgspec.json.Decoder(Line)
    return [decoder.decode(line) for line in file.read_bytes().splitlines()]


async def _main() -> None:
    made = templates()
    loop = asyncio.get_running_loop()
    orders = asyncio.StreamReader(LINE_BYTES_MAXIMUM)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    print("{}", flush=True)
    while line := await orders.readline():
        outcome = await Load(msgspec.json.decode(line, type=Order), made).run()
        print(msgspec.json.encode(outcome).decode(), flush=True)


if __name__ == "__main__":
    uvloop.run(_main())
