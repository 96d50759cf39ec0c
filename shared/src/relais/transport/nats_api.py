"""JetStream's request API as far as we use it: streams, single messages, consumers; its refusals become our errors.

Messages are read through the stream's leader (`STREAM.MSG.GET`), never by direct get: a follower may answer that one with
an older state, and a relay that resumed from it would publish facts a second time.
"""

import base64
import json
from collections.abc import Mapping
from typing import Any, Final

import msgspec
import nats.errors

from relais.transport.bus import Announcement, BusUnavailable, StreamExtent, StreamMissing
from relais.transport.nats_client import RawClient
from relais.transport.wire import decode

REQUEST_TIMEOUT_SECONDS: Final = 5.0

STREAM_NOT_FOUND: Final = 10059
MESSAGE_NOT_FOUND: Final = 10037
CONSUMER_NOT_FOUND: Final = 10014
STREAM_NAME_IN_USE: Final = 10058
WRONG_LAST_SEQUENCE: Final = 10071

# Where a stream keeps the position it begins above and the sequence it begins at, in its own metadata: they go when the stream goes.
BASE_KEY: Final = "relais-base"
FRONT_KEY: Final = "relais-front"

Answer = Mapping[str, Any]


class ApiRefusal(Exception):
    """JetStream answered with an error of its own; `code` is its `err_code`."""

    def __init__(self, subject: str, code: int, description: str) -> None:
        super().__init__(f"{subject}: {code} {description}")
        self.code = code


class JetStreamApi:
    """One request, one answer."""

    def __init__(self, client: RawClient) -> None:
        self._client = client

    async def ask(self, subject: str, body: Mapping[str, object] | None = None) -> Answer:
        """Send one request to `$JS.API.<subject>`. Raises `BusUnavailable`, or `ApiRefusal` for what JetStream refuses."""
        payload = json.dumps(body).encode() if body is not None else b""
        if not self._client.is_connected:
            raise BusUnavailable("not connected")
        try:
            message = await self._client.request(f"$JS.API.{subject}", payload, timeout=REQUEST_TIMEOUT_SECONDS)
        except (nats.errors.Error, OSError, TimeoutError) as error:
            raise BusUnavailable(f"no answer from JetStream: {type(error).__name__}") from error
        answer: Answer = msgspec.json.decode(message.data)
        refusal = answer.get("error")
        if refusal is not None:
            raise ApiRefusal(subject, int(refusal.get("err_code", 0)), str(refusal.get("description", "")))
        return answer

    async def stream(self, name: str) -> Answer:
        """A stream's configuration and state. Raises `StreamMissing`, `BusUnavailable`."""
        try:
            return await self.ask(f"STREAM.INFO.{name}")
        except ApiRefusal as refusal:
            if refusal.code == STREAM_NOT_FOUND:
                raise StreamMissing(name) from refusal
            raise BusUnavailable(str(refusal)) from refusal

    async def extent(self, name: str) -> StreamExtent:
        """Where a stream begins and ends. Raises `StreamMissing`, `BusUnavailable`."""
        return extent_of(await self.stream(name))

    async def message(self, name: str, **which: object) -> Announcement | None:
        """One stored message (`seq`, `last_by_subj`, or `seq` with `next_by_subj`), or None. Raises `StreamMissing`, `BusUnavailable`."""
        try:
            answer = await self.ask(f"STREAM.MSG.GET.{name}", which)
        except ApiRefusal as refusal:
            if refusal.code == MESSAGE_NOT_FOUND:
                return None
            if refusal.code == STREAM_NOT_FOUND:
                raise StreamMissing(name) from refusal
            raise BusUnavailable(str(refusal)) from refusal
        stored = answer["message"]
        headers = base64.b64decode(stored.get("hdrs", ""))
        data = base64.b64decode(stored.get("data", ""))
        return decode(int(stored["seq"]), str(stored["subject"]).encode(), headers, data).announcement


def extent_of(answer: Answer) -> StreamExtent:
    """The extent in a STREAM.INFO answer; an empty stream that never held anything says 0 and 0, which here is 1 and 0."""
    state = answer["state"]
    last = int(state["last_seq"])
    first = int(state["first_seq"]) if state["messages"] else last + 1
    front = int(metadata_of(answer).get(FRONT_KEY, 0))
    return StreamExtent(str(answer["created"]), first, last, int(state["messages"]), front)


def metadata_of(answer: Answer) -> Mapping[str, str]:
    """What a stream in a STREAM.INFO answer was told to remember."""
    metadata: Mapping[str, str] = answer["config"].get("metadata") or {}
    return metadata
