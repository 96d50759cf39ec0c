"""The `relais` command, run against the platform of the client's tests."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from relais.cli.main import app
from relais.client.settings import SERVICES
from tests.client.platform_server import Platform, run_platform

Relais = Callable[..., Result]

PLATFORM_FILE = """
authority_file = "authority.pem"
tenant = "north"
site = "site-a"
credential = "operator"
[services]
{services}
[credentials.operator]
certificate_file = "client.pem"
key_file = "client.key"
"""
SIDECAR = """
opposition = "NO"
[patient]
ins = "275127400123456"
ins_oid = "1.2.250.1.213.1.4.10"
ins_status = "QUALIFIEE"
birth_family_name = "Canari"
[professional]
identifier = "810000000001"
[flags]
DESTDMP = "Y"
DESTMSSANTEPS = true
rest = "N"
[[recipients]]
kind = "PROFESSIONAL"
address = "doc@x.mssante.fr"
"""


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Platform]:
    with run_platform(tmp_path) as running:
        services = "\n".join(f'{service} = ["{running.address}"]' for service in SERVICES)
        (tmp_path / "platform.toml").write_text(PLATFORM_FILE.format(services=services), "utf-8")
        yield running


@pytest.fixture
def relais(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Relais:
    """Runs the command in an empty home; `platform.toml` is its context where a platform runs."""
    monkeypatch.chdir(tmp_path)
    for name, value in {"RELAIS_CONFIG": str(tmp_path / "config"), "COLUMNS": "240", "NO_COLOR": "1", "TERM": "dumb"}.items():
        monkeypatch.setenv(name, value)
    if (tmp_path / "platform.toml").exists():
        monkeypatch.setenv("RELAIS_CONTEXT", str(tmp_path / "platform.toml"))

    def run(*arguments: str, code: int = 0) -> Result:
        result = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
        assert result.exit_code == code, result.output
        return result

    return run


@pytest.fixture
def letter(tmp_path: Path) -> Path:
    """A document with everything that goes with it beside it."""
    file = tmp_path / "letter.xml"
    file.write_bytes(b"<ClinicalDocument/>")
    (tmp_path / "letter.relais.toml").write_text(SIDECAR, "utf-8")
    return file


def lines(result: Result) -> list[Any]:
    """The JSON objects of the output."""
    return [json.loads(line) for line in result.stdout.splitlines()]
