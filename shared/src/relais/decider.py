"""The shape of every decision in Relais: `decide(command, state) -> facts`, `evolve(state, fact) -> state`, `initial`."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

Command = TypeVar("Command")
State = TypeVar("State")
Fact = TypeVar("Fact")


@dataclass(frozen=True, slots=True)
class Decider(Generic[Command, State, Fact]):
    """A pure decision over one stream of facts.

    `decide` may raise a domain refusal, does no I/O and reads no clock: time, identifiers and the world's answers
    arrive inside the command. Nothing to do is the empty sequence.
    """

    initial: State
    decide: Callable[[Command, State], Sequence[Fact]]
    evolve: Callable[[State, Fact], State]

    def fold(self, facts: Iterable[Fact], state: State | None = None) -> State:
        """The state after these facts, starting from `initial` or from an earlier state."""
        folded = self.initial if state is None else state
        for fact in facts:
            folded = self.evolve(folded, fact)
        return folded
