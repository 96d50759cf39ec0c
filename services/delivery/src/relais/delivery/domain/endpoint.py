"""The decision over one endpoint: whether attempts go on, are paused, or only what was already attempted is finished."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import assert_never

from relais.contracts import Fact
from relais.contracts.delivery import EndpointPaused, EndpointResumed
from relais.decider import Decider


class EndpointMode(Enum):
    """OPEN takes everything; DRAINING only deliveries that were attempted before; PAUSED nothing."""

    OPEN = "open"
    DRAINING = "draining"
    PAUSED = "paused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """A person stops new attempts."""

    endpoint: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Drain:
    """A person stops new deliveries, and lets those already attempted go on to their outcome."""

    endpoint: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Resume:
    """A person lets everything go on."""

    endpoint: str
    reason: str


EndpointCommand = Pause | Drain | Resume


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointState:
    """An endpoint that nobody ever paused is open."""

    mode: EndpointMode = EndpointMode.OPEN


def decide(command: EndpointCommand, state: EndpointState) -> Sequence[Fact]:
    """The facts that follow; asking for what already is adds none."""
    match command:
        case Pause():
            wanted = EndpointMode.PAUSED
            fact: Fact = EndpointPaused(endpoint=command.endpoint, reason=command.reason)
        case Drain():
            wanted = EndpointMode.DRAINING
            fact = EndpointPaused(endpoint=command.endpoint, reason=command.reason, draining=True)
        case Resume():
            wanted = EndpointMode.OPEN
            fact = EndpointResumed(endpoint=command.endpoint, reason=command.reason)
        case _:
            assert_never(command)
    return [] if state.mode is wanted else [fact]


def evolve(state: EndpointState, fact: Fact) -> EndpointState:
    """The state after one fact of this stream."""
    match fact:
        case EndpointPaused():
            return EndpointState(mode=EndpointMode.DRAINING if fact.draining else EndpointMode.PAUSED)
        case EndpointResumed():
            return EndpointState(mode=EndpointMode.OPEN)
        case _:
            return state


endpoint: Decider[EndpointCommand, EndpointState, Fact] = Decider(initial=EndpointState(), decide=decide, evolve=evolve)
