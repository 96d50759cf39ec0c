"""Attacks the log lines: nothing but what the table holds is ever written, and no exception's message, whoever throws it."""

import ast
import io
import json
import logging
import sys
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from relais.chassis import logs
from relais.chassis.references import FIELDS, REFERENCES

PROJECT = Path(__file__).resolve().parents[2]
CANARY = "Zéphyrine Canari-Témoin 284097511223344"
LEVELS = {"debug", "info", "warning", "error", "exception", "critical"}


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    hooks = (sys.excepthook, sys.unraisablehook, threading.excepthook)
    root, stream = logging.getLogger(), io.StringIO()
    before = (root.handlers, root.level)
    logs.configure(level="info", service="routing", replica="routing-1", stream=stream)
    yield stream
    structlog.reset_defaults()
    logging.captureWarnings(capture=False)
    root.handlers, level = before
    root.setLevel(level)
    sys.excepthook, sys.unraisablehook, threading.excepthook = hooks


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    assert CANARY not in stream.getvalue()
    assert "Zéphyrine" not in stream.getvalue()
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def log() -> Any:
    return structlog.get_logger("relais.test")


def test_a_line_says_its_reference_and_its_sentence(written: io.StringIO) -> None:
    log().warning("lease_lost", partition=7, epoch=3)
    (line,) = lines(written)
    assert (line["reference"], line["level"], line["partition"], line["service"]) == ("lease_lost", "warning", 7, "routing")
    assert line["sentence"] == REFERENCES["lease_lost"].sentence


@pytest.mark.parametrize(
    ("word", "fields"),
    [("improvised for " + CANARY, {}), ("lease_lost", {"patient": CANARY}), ("lease_lost", {"value": 1}), ("service_ready", {})],
)
def test_what_is_not_in_the_table_is_refused(written: io.StringIO, word: str, fields: dict[str, Any]) -> None:
    with pytest.raises(logs.LogRefused):
        log().warning(word, **fields)
    assert lines(written) == []


@pytest.mark.parametrize(("field", "value"), [("document", CANARY), ("count", CANARY), ("remedy", CANARY + "\n"), ("code", "a b")])
def test_a_value_of_another_form_is_replaced_by_a_mark(written: io.StringIO, field: str, value: object) -> None:
    log().warning("lease_lost", **{field: value})
    (line,) = lines(written)
    assert line[field] == logs.REFUSED_MARK


def test_below_the_level_nothing_is_written(written: io.StringIO) -> None:
    log().debug("bell_not_rung", log="routing")
    assert lines(written) == []


def test_an_exception_is_its_types_and_its_place(written: io.StringIO) -> None:
    try:
        try:
            raise ValueError(CANARY)
        except ValueError as cause:
            raise KeyError(CANARY) from cause
    except KeyError as error:
        log().error("task_died", task="relay", **logs.error_fields(ExceptionGroup(CANARY, [error])))
    (line,) = lines(written)
    assert line["error"] == "KeyError:ValueError"
    assert "test_chassis_logs.py" in line["error_at"]


def test_a_library_is_quoted_by_name_and_place_only(written: io.StringIO) -> None:
    try:
        raise OSError(CANARY)
    except OSError:
        logging.getLogger("asyncpg").exception("cannot parse %s", CANARY)
    logging.getLogger("asyncpg").info("below")
    (line,) = lines(written)
    assert (line["reference"], line["library"], line["error"]) == ("library_said", "asyncpg", "OSError")


def test_a_warning_is_quoted_by_place_only(written: io.StringIO) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn(CANARY, stacklevel=1)
    assert [line["library"] for line in lines(written)] == ["py.warnings"]


def test_stray_exceptions_are_written_without_their_message(written: io.StringIO) -> None:
    sys.excepthook(ValueError, ValueError(CANARY), None)

    def fail() -> None:
        raise ValueError(CANARY)

    thread = threading.Thread(target=fail)
    thread.start()
    thread.join()
    assert [(line["reference"], line["error"]) for line in lines(written)] == [("exception_unhandled", "ValueError")] * 2


def calls() -> Iterator[tuple[str, ast.Call, str]]:
    for folder in ("shared", "services"):
        for file in sorted((PROJECT / folder).rglob("*.py")):
            text = file.read_text()
            if "structlog.get_logger" not in text:
                continue
            for node in ast.walk(ast.parse(text)):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in LEVELS:
                    owner = node.func.value
                    if isinstance(owner, ast.Name) and owner.id == "_log":
                        yield f"{file.relative_to(PROJECT)}:{node.lineno}", node, node.func.attr


def test_every_line_of_the_code_is_in_the_table_with_its_level_and_fields() -> None:
    wrong = []
    for place, call, level in calls():
        words = call.args[0]
        first = [words.body, words.orelse] if isinstance(words, ast.IfExp) else [words]
        for word in first:
            if not isinstance(word, ast.Constant) or not isinstance(word.value, str):
                continue
            reference = REFERENCES.get(word.value)
            if reference is None or reference.level != level:
                wrong.append(f"{place} writes {word.value} as {level}")
        wrong += [f"{place} writes the field {one.arg}" for one in call.keywords if one.arg is not None and one.arg not in FIELDS]
    assert wrong == []
