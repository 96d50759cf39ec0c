"""Log lines: JSON on one line, from a fixed table of references with a fixed list of fields; anything else is refused.

Use structlog anywhere: `structlog.get_logger("relais.transport").warning("bus_connection_lost", stream=name)`. The word must
stand in `relais.chassis.references`. Of an exception only the type and the place in the code are written, never its
message: parsers and drivers quote what they choked on.
"""

import asyncio
import logging
import re
import sys
import threading
import traceback
from collections.abc import Iterator, MutableMapping
from datetime import UTC, datetime
from pathlib import PurePath
from types import TracebackType
from typing import Any, TextIO

import msgspec
import structlog

from relais.chassis.references import FIELDS, REFERENCES, FieldKind

REFUSED_MARK = "(refused)"
WORD_CHARACTERS_MAXIMUM = 200
FRAMES_MAXIMUM = 6
CAUSES_MAXIMUM = 4

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
_WORD = re.compile(r"[A-Za-z0-9_.:/@*+\-\[\]]{0,200}")
_PHRASE = re.compile(r"[A-Za-z0-9_.:/@*+\-\[\] ,;<>='`()]{0,400}")
_encoder = msgspec.json.Encoder()

EventDict = MutableMapping[str, Any]


class LogRefused(Exception):
    """A line's reference or a field is not in the table: a mistake of ours, found by the first test that writes the line."""


def configure(*, level: str, service: str, replica: str, stream: TextIO = sys.stdout) -> None:
    """Write every line of this process as JSON to `stream`, from `level` on; take the lines of libraries and stray exceptions over."""
    structlog.configure(
        processors=[structlog.contextvars.merge_contextvars, _Lines(service, replica)],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=structlog.PrintLoggerFactory(stream),
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    root.handlers = [_LibraryHandler(level=max(_LEVELS[level], logging.WARNING))]
    root.setLevel(logging.WARNING)
    logging.captureWarnings(capture=True)
    sys.excepthook = _on_exception
    sys.unraisablehook = lambda event: _say_unhandled(event.exc_value)
    threading.excepthook = lambda event: _say_unhandled(event.exc_value)


def watch_loop(loop: asyncio.AbstractEventLoop) -> None:
    """Write what asyncio would print about a task's lost exception, without its message."""
    loop.set_exception_handler(lambda _, context: _say_unhandled(context.get("exception")))


def error_fields(error: BaseException) -> dict[str, str]:
    """`error`: the types of an exception and its causes; `error_at`: where in the code, innermost last. Never the message."""
    leaf = first_cause(error)
    return {"error": ":".join(_type_name(cause) for cause in _causes(leaf)), "error_at": " > ".join(_places(leaf))}


class _Lines:
    """The one processor: checks the line against the table and renders it."""

    def __init__(self, service: str, replica: str) -> None:
        self._service = service
        self._replica = replica

    def __call__(self, _logger: object, method: str, event: EventDict) -> str:
        word = event.pop("event")
        reference = REFERENCES.get(word) if isinstance(word, str) else None
        if reference is None:
            raise LogRefused(f"no reference is called {word!r}")
        error = event.pop("exc_info", None)
        if isinstance(error, BaseException):
            event.update(error_fields(error))
        line: dict[str, object] = {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "level": reference.level,
            "reference": word,
            "sentence": reference.sentence,
            "service": self._service,
            "replica": self._replica,
        }
        if method != reference.level:
            raise LogRefused(f"{word} is a line of level {reference.level}, written as {method}")
        for name, value in event.items():
            line[name] = _field(name, value)
        return _encoder.encode(line).decode()


def _field(name: str, value: object) -> object:
    kind = FIELDS.get(name)
    if kind is None:
        raise LogRefused(f"no field is called {name!r}")
    if kind is FieldKind.NUMBER:
        return value if isinstance(value, (int, float)) else REFUSED_MARK
    pattern = _WORD if kind is FieldKind.WORD else _PHRASE
    text = str(value)
    return text if pattern.fullmatch(text) else REFUSED_MARK


class _LibraryHandler(logging.Handler):
    """Says that a library wrote something, where, and of which type its exception was; never what."""

    def emit(self, record: logging.LogRecord) -> None:
        fields = {"library": record.name, "error_at": f"{PurePath(record.pathname).name}:{record.lineno}"}
        if record.exc_info and record.exc_info[1] is not None:
            fields["error"] = _type_name(record.exc_info[1])
        structlog.get_logger("relais.foreign").warning("library_said", **fields)


def _on_exception(_kind: type[BaseException], error: BaseException, _trace: TracebackType | None) -> None:
    _say_unhandled(error)


def _say_unhandled(error: BaseException | None) -> None:
    fields = error_fields(error) if error is not None else {}
    structlog.get_logger("relais").error("exception_unhandled", **fields)


def first_cause(error: BaseException) -> BaseException:
    """The first exception inside that is no group: a task group wraps what broke."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    for _ in range(CAUSES_MAXIMUM):
        if cause is None:
            return
        yield cause
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)


def _places(error: BaseException) -> Iterator[str]:
    for frame in traceback.extract_tb(error.__traceback__)[-FRAMES_MAXIMUM:]:
        path = PurePath(frame.filename)
        yield f"{path.parent.name}/{path.name}:{frame.lineno}"


def _type_name(error: BaseException) -> str:
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
