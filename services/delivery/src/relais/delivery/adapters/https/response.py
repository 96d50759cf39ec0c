"""Reading one HTTP/1.1 response (RFC 9112) without knowing where the bytes come from. A body is skipped, never kept."""

import re
from dataclasses import dataclass
from enum import Enum

HEAD_BYTES_MAXIMUM = 16 * 1024
BODY_BYTES_MAXIMUM = 64 * 1024
_CHUNK_LINE_BYTES_MAXIMUM = 256
_NO_BODY = frozenset({204, 304})


class ResponseUnreadable(Exception):
    """What came is not a response, or a larger one than anybody has a reason to send."""


@dataclass(frozen=True, slots=True)
class Response:
    """A response whose head was read. Names of `fields` are lower-case; `reusable` says the connection can carry another request."""

    status: int
    fields: dict[str, str]
    reusable: bool


class _Step(Enum):
    HEAD = "head"
    LENGTH = "length"
    CHUNK_LINE = "chunk line"
    CHUNK = "chunk"
    TRAILER = "trailer"
    UNTIL_CLOSED = "until closed"
    DONE = "done"


class ResponseReader:
    """Feed it what arrives; it gives the response once, when the last byte of its body has been seen."""

    def __init__(self) -> None:
        self._step = _Step.HEAD
        self._held = b""
        self._left = 0
        self._body_bytes = 0
        self._response: Response | None = None

    def feed(self, data: bytes) -> Response | None:
        """The response when it is complete; not reusable when more bytes follow it than anybody asked for. Raises `ResponseUnreadable`."""
        self._held = self._held + data if self._held else data
        while self._held or self._step is _Step.DONE:
            before = (self._step, len(self._held))
            match self._step:
                case _Step.HEAD:
                    self._read_head()
                case _Step.LENGTH | _Step.CHUNK:
                    self._skip()
                case _Step.CHUNK_LINE:
                    self._read_chunk_line()
                case _Step.TRAILER:
                    self._read_trailer()
                case _Step.UNTIL_CLOSED:
                    self._count_body(len(self._held))
                    self._held = b""
                case _Step.DONE:
                    return self._finished()
            if (self._step, len(self._held)) == before:
                return None
        return None

    def close(self) -> Response | None:
        """The connection was closed by the partner: the response, if that is how its body ends."""
        return self._response if self._step is _Step.UNTIL_CLOSED else None

    def _finished(self) -> Response:
        assert self._response is not None
        if not self._held:
            return self._response
        return Response(self._response.status, self._response.fields, reusable=False)

    def _read_head(self) -> None:
        end = self._held.find(b"\r\n\r\n")
        if end < 0:
            if len(self._held) > HEAD_BYTES_MAXIMUM or not b"HTTP/1.".startswith(self._held[:7]):
                raise ResponseUnreadable("no head")
            return
        status, keep_alive, fields = _parse_head(self._held[:end])
        self._held = self._held[end + 4 :]
        if 100 <= status < 200:
            return
        self._response = Response(status, fields, keep_alive)
        self._choose_body(status, fields)

    def _choose_body(self, status: int, fields: dict[str, str]) -> None:
        encoding = fields.get("transfer-encoding")
        length = fields.get("content-length")
        if status in _NO_BODY:
            self._step = _Step.DONE
        elif encoding is not None:
            if encoding.lower() != "chunked" or length is not None:
                raise ResponseUnreadable("a framing nobody should use")
            self._step = _Step.CHUNK_LINE
        elif length is not None:
            self._left = _number(length.encode("latin-1"), 10)
            self._count_body(self._left)
            self._step = _Step.LENGTH if self._left else _Step.DONE
        else:
            self._step = _Step.UNTIL_CLOSED
            assert self._response is not None
            self._response = Response(status, fields, reusable=False)

    def _skip(self) -> None:
        skipped = min(self._left, len(self._held))
        self._left -= skipped
        self._held = self._held[skipped:]
        if not self._left:
            self._step = _Step.DONE if self._step is _Step.LENGTH else _Step.CHUNK_LINE

    def _read_chunk_line(self) -> None:
        end = self._held.find(b"\r\n")
        if end < 0:
            if len(self._held) > _CHUNK_LINE_BYTES_MAXIMUM:
                raise ResponseUnreadable("an endless chunk line")
            return
        size = _number(self._held[:end].partition(b";")[0].strip(), 16)
        self._held = self._held[end + 2 :]
        self._count_body(size)
        # A chunk's own line end is skipped with it.
        self._left = size + 2
        self._step = _Step.CHUNK if size else _Step.TRAILER

    def _read_trailer(self) -> None:
        end = self._held.find(b"\r\n")
        if end == 0:
            self._step = _Step.DONE
        if end >= 0:
            self._held = self._held[end + 2 :]
            self._count_body(end + 2)
        elif len(self._held) > HEAD_BYTES_MAXIMUM:
            raise ResponseUnreadable("an endless trailer")

    def _count_body(self, more: int) -> None:
        self._body_bytes += more
        if self._body_bytes > BODY_BYTES_MAXIMUM:
            raise ResponseUnreadable("a body larger than any answer")


# Three digits, the first a class that exists (RFC 9110 section 15): anything else is no answer, however well it is framed.
_STATUS = re.compile(rb"[1-5][0-9]{2}(?: .*)?", re.DOTALL)


def _parse_head(head: bytes) -> tuple[int, bool, dict[str, str]]:
    first, *lines = head.split(b"\r\n")
    version, _, rest = first.partition(b" ")
    if version not in (b"HTTP/1.1", b"HTTP/1.0") or _STATUS.fullmatch(rest) is None:
        raise ResponseUnreadable("no status line")
    fields: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(b":")
        if not colon or not name or name != name.strip():
            raise ResponseUnreadable("no field")
        key = name.decode("latin-1").lower()
        if key in ("content-length", "transfer-encoding") and key in fields:
            raise ResponseUnreadable("a length said twice")
        fields[key] = value.strip().decode("latin-1")
    connection = fields.get("connection", "").lower()
    keep_alive = "close" not in connection if version == b"HTTP/1.1" else "keep-alive" in connection
    return int(rest[:3]), keep_alive, fields


def _number(text: bytes, base: int) -> int:
    digits = b"0123456789abcdefABCDEF" if base == 16 else b"0123456789"
    if not text or len(text) > 12 or text.strip(digits):
        raise ResponseUnreadable("no length")
    return int(text, base)
