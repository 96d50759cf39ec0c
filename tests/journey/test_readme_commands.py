"""Runs what the front page shows: each `relais` command, in its order, on a stack on which a demonstration has run."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from relais.client.words import id_of
from relais.embedded.stack import Stack
from tests.journey.test_demo import demo

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]

README = Path(__file__).parents[2] / "README.md"
COMMAND_SECONDS = 60


def commands() -> list[str]:
    (block,) = re.findall(r"```sh\n(.*?)```", README.read_text("utf-8"), re.DOTALL)
    return [line for line in block.splitlines() if line.startswith("relais ")]


def test_every_command_of_the_front_page_does_what_it_is_shown_for(journey_stack: Stack) -> None:
    summary = json.loads(demo(journey_stack, "--json", "--seed", "44").stdout)
    names = {
        "DOCUMENT": id_of(summary["timeline"]["name"]),
        "HELD": next(held["example"] for held in summary["held"] if held["reason"] == "IDENTITY_DISAGREES"),
    }
    context = journey_stack.state.configuration / "context.toml"
    assert len(commands()) == 8
    for line in commands():
        words = [names.get(word, word) for word in shlex.split(line, comments=True)]
        ran = subprocess.run(
            [str(Path(sys.executable).with_name("relais")), "--context", str(context), *words[1:]],
            env={**os.environ, "RELAIS_CONFIG": str(journey_stack.state.root / "cli")},
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
            check=False,
        )
        assert ran.returncode == 0, f"{line}\n{ran.stdout}{ran.stderr}"
        assert ran.stdout.strip(), line
