"""Attacks the demonstration: on a stack that is up it must carry, hold and tell as it means to, and say so to a program."""

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from relais.cli.contexts import from_file
from relais.embedded.stack import Stack

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]

DOCUMENTS = 50
DEMO_SECONDS = 120
HELD = {
    "INS_KEY_WRONG": 1,
    "IDENTITY_DISAGREES": 1,
    "STATUS_DOUBTFUL": 1,
    "BORN_AFTER_DOCUMENT": 1,
    # The doubtful one holds an INS that is not qualified, too.
    "INS_NOT_QUALIFIED_IN_DOCUMENT": 2,
    "MINOR_OR_AGE_UNKNOWN": 1,
    "MATRIX_COMBINATION_UNKNOWN": 1,
}


def demo(stack: Stack, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "relais.demo", "--no-corpus", "--documents", str(DOCUMENTS), *arguments],
        env={**os.environ, "RELAIS_HOME": str(stack.state.root), "RELAIS_CONFIG": str(stack.state.root / "cli")},
        capture_output=True,
        text=True,
        timeout=DEMO_SECONDS,
        check=False,
    )


def test_the_demonstration_carries_holds_and_finds_everything_where_it_should_be(journey_stack: Stack) -> None:
    ran = demo(journey_stack, "--json", "--seed", "41")
    assert ran.returncode == 0, ran.stderr
    summary: dict[str, Any] = json.loads(ran.stdout)
    assert summary["problems"] == []
    assert (summary["receipts"], summary["known_already"], summary["refused"]) == (DOCUMENTS, 0, {})
    assert summary["states"] == {"DONE": DOCUMENTS - 7, "HELD": 7}
    assert {held["reason"]: held["documents"] for held in summary["held"]} == HELD
    for partner in summary["partners"]:
        assert partner["arrived"] == partner["delivered"] == partner["planned"] - partner["abandoned"]
        assert partner["identical"]
        assert partner["believed"]
    assert sum(partner["retried"] for partner in summary["partners"]) == 3
    assert sum(partner["abandoned"] for partner in summary["partners"]) == 1
    context = from_file("demo", journey_stack.state.configuration / "context.toml")
    assert (context.tenant, context.site, context.credential) == ("demo", "hopital-amont", "operator")


def test_the_same_demonstration_again_gets_the_same_receipts_and_sends_nothing(journey_stack: Stack) -> None:
    demo(journey_stack, "--json", "--seed", "42")
    again = demo(journey_stack, "--json", "--seed", "42")
    assert again.returncode == 0, again.stderr
    summary = json.loads(again.stdout)
    assert (summary["receipts"], summary["known_already"], summary["states"]) == (DOCUMENTS, DOCUMENTS, {})


def test_the_story_tells_what_waits_and_what_to_type_next(journey_stack: Stack) -> None:
    ran = demo(journey_stack, "--seed", "43")
    assert ran.returncode == 0, ran.stdout
    assert "ce qui attend / what waits" in ran.stdout
    assert "la clé du matricule INS est fausse" in ran.stdout
    assert "octet pour octet" in ran.stdout


def test_a_demonstration_without_anything_to_carry_says_so(journey_stack: Stack) -> None:
    ran = demo(journey_stack, "--documents", "0")
    assert ran.returncode == 1
    assert "There is nothing to carry." in ran.stdout
