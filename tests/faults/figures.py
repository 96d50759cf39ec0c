"""How long each fault was felt. Seconds, from the moment it struck."""

from dataclasses import dataclass, field


@dataclass(slots=True)
class Figure:
    """One fault. `acknowledged` and `delivered`: until the first document sent after the fault had its receipt, and had arrived somewhere;
    `taken_over`: until nobody held a lease of the victim; `caught_up`: until everything sent before it had arrived everywhere;
    `slowest`: the longest way of one document, from its first sending to its last partner, and the longest wait for a receipt.
    `repeats` are calls that a partner recognised as repeats, over the run so far.
    """

    fault: str
    documents: int = 0
    acknowledged: float = 0.0
    delivered: float = 0.0
    taken_over: float | None = None
    caught_up: float = 0.0
    slowest: float = 0.0
    slowest_acknowledged: float = 0.0
    repeats: int = 0


@dataclass(slots=True)
class Figures:
    """All faults of one run, and the seed of its chances."""

    seed: int
    rows: list[Figure] = field(default_factory=list)

    def table(self) -> list[str]:
        """For the end of a run."""
        lines = [f"seed {self.seed}; seconds after the fault", ""]
        lines.append(f"{'fault':<58}{'docs':>6}{'ack':>7}{'deliv':>7}{'lease':>7}{'caught':>8}{'slowest':>8}{'receipt':>8}{'repeats':>8}")
        for row in self.rows:
            taken_over = "-" if row.taken_over is None else f"{row.taken_over:.1f}"
            lines.append(
                f"{row.fault[:57]:<58}{row.documents:>6}{row.acknowledged:>7.1f}{row.delivered:>7.1f}{taken_over:>7}"
                f"{row.caught_up:>8.1f}{row.slowest:>8.1f}{row.slowest_acknowledged:>8.1f}{row.repeats:>8}"
            )
        return lines
