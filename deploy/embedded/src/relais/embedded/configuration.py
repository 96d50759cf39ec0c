"""What an embedded stack is asked to be: read once, from the environment and the command line, before anything starts."""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from relais.embedded.state import StateFolder, state_folder
from relais.processes.errors import LaunchError

REPLICAS_MAXIMUM = 8

# Handed on to every service as they are; the defaults are those of a demonstration.
HANDED_ON = {"RELAIS_LOG_LEVEL": "info", "RELAIS_TRACE_SAMPLE": "1"}
HANDED_ON_WHEN_SET = ("RELAIS_TRACE_FILE", "RELAIS_TRACE_OTLP_ENDPOINT", "RELAIS_FAILPOINTS")


class ConfigurationRefused(LaunchError):
    """A variable or an option has a value that cannot be used."""


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """One stack. `postgres_dsn` and `nats_url` are the addresses of running servers; None: start our own."""

    state: StateFolder
    programs: Path
    replicas: int = 1
    deployment: str = "test"
    postgres_dsn: str | None = None
    nats_url: str | None = None
    handed_on: Mapping[str, str] = field(default_factory=dict)


def read_configuration(environment: Mapping[str, str] = os.environ, *, replicas: int | None = None) -> Configuration:
    """Read the variables of `deploy/embedded/README.md`.

    Raises:
        ConfigurationRefused: one of them cannot be used; the message names it.
    """
    handed_on = {name: environment.get(name, default) for name, default in HANDED_ON.items()}
    handed_on |= {name: environment[name] for name in HANDED_ON_WHEN_SET if environment.get(name)}
    return Configuration(
        state=state_folder(environment),
        programs=Path(environment.get("RELAIS_PROGRAMS") or Path(sys.executable).parent),
        replicas=_replicas(environment) if replicas is None else _bounded(replicas, "--replicas"),
        deployment=_deployment(environment),
        postgres_dsn=environment.get("RELAIS_POSTGRES_DSN") or None,
        nats_url=environment.get("RELAIS_NATS_URL") or None,
        handed_on=handed_on,
    )


def _replicas(environment: Mapping[str, str]) -> int:
    text = environment.get("REPLICAS", "1")
    if not text.isdecimal():
        raise ConfigurationRefused(f"REPLICAS is {text!r}, which is not a number.", f"Give 1 to {REPLICAS_MAXIMUM}.")
    return _bounded(int(text), "REPLICAS")


def _bounded(replicas: int, name: str) -> int:
    if not 1 <= replicas <= REPLICAS_MAXIMUM:
        raise ConfigurationRefused(f"{name} is {replicas}.", f"Give 1 to {REPLICAS_MAXIMUM}.")
    return replicas


def _deployment(environment: Mapping[str, str]) -> str:
    deployment = environment.get("RELAIS_DEPLOYMENT", "test")
    if deployment != "test":
        raise ConfigurationRefused(
            f"RELAIS_DEPLOYMENT is {deployment!r}.", "An embedded stack makes its own keys and partners: it is never a production."
        )
    return deployment
