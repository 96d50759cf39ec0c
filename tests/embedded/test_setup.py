"""Attacks the set-up of a fresh machine: what is missing is said in a sentence, before anything is made."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """As much of the project as the set-up looks at first."""
    (tmp_path / ".ci").mkdir()
    for name in ("Makefile", "requirements.lock", ".ci/setup"):
        shutil.copy(PROJECT / name, tmp_path / name)
    for pyproject in (
        *PROJECT.glob("services/*/pyproject.toml"),
        *PROJECT.glob("deploy/*/pyproject.toml"),
        *PROJECT.glob("*/pyproject.toml"),
    ):
        copy = tmp_path / pyproject.relative_to(PROJECT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(pyproject, copy)
    return tmp_path


def setup(clone: Path, python: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["make", "setup", f"PYTHON={python}"],
        cwd=clone,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def interpreter(file: Path, answers: dict[str, int]) -> str:
    """A program that stands where Python would, and ends with a status for what it is asked."""
    cases = "\n".join(f'*"{question}"*) exit {status};;' for question, status in answers.items())
    file.write_text(f'#!/bin/sh\ncase "$*" in --version) echo Python 3.9.2;;\n{cases}\nesac\n')
    file.chmod(0o755)
    return str(file)


def test_a_python_that_is_not_there_is_named(clone: Path) -> None:
    ran = setup(clone, "python9.99")
    assert ran.returncode != 0
    assert "There is no program 'python9.99'." in ran.stderr
    assert "apt-get install python3" in ran.stderr
    assert not (clone / ".venv").exists()


def test_a_python_that_is_too_old_is_told_its_version(clone: Path) -> None:
    ran = setup(clone, interpreter(clone / "python", {"version_info": 1}))
    assert ran.returncode != 0
    assert "Python 3.9.2 is too old: Relais needs Python 3.11 or newer." in ran.stderr
    assert not (clone / ".venv").exists()


def test_a_python_without_venv_is_told_the_package_to_install(clone: Path) -> None:
    ran = setup(clone, interpreter(clone / "python", {"import ensurepip": 1}))
    assert ran.returncode != 0
    assert "no venv module" in ran.stderr
    assert "apt-get install python3-venv" in ran.stderr


def test_a_package_index_out_of_reach_is_said_and_the_next_setup_tries_again(clone: Path) -> None:
    nowhere = {"PIP_CONFIG_FILE": os.devnull, "PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_RETRIES": "0", "PIP_NO_CACHE_DIR": "1"}
    for _ in range(2):
        ran = setup(clone, "python3", **nowhere)
        assert ran.returncode != 0
        assert "Is the Python package index reachable from here" in ran.stderr
        assert not (clone / ".venv" / "ready").exists()
