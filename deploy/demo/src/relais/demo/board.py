"""The live board: how many documents are where, how fast they go, and how old the oldest one under way is."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Column, Table
from rich.text import Text

from relais.cli.sentences import STATE
from relais.demo.road import Trip

RATE_SECONDS: Final = 3.0
_STATES: Final = ("RECEIVED", "VERIFIED", "DELIVERING", "WAITING", "HELD", "DONE")
_COLOURS: Final = {"HELD": "yellow", "WAITING": "yellow", "DONE": "green"}
KINDS: Final[Mapping[str, str]] = {
    "sandbox-one": "DMP",
    "sandbox-two": "MSSanté professionnel",
    "sandbox-three": "MSSanté patient",
}
_BAR_COLUMNS: Final = 40


def board(trip: Trip, now: datetime | None = None) -> RenderableType:
    """The board at this moment."""
    now = now or datetime.now(UTC)
    end = trip.ended_at or now
    carried = len(trip.parcels) - len(trip.refusals) - trip.repeats
    settled = trip.tally.settled
    head = Table.grid(padding=(0, 2))
    head.add_row(
        Text("Relais", style="bold"),
        ProgressBar(total=max(carried, 1), completed=settled, width=_BAR_COLUMNS),
        Text(f"{settled}/{carried}"),
        Text(f"{(end - trip.began_at).total_seconds():.1f} s", style="dim"),
    )
    # One below the other: they fit a terminal of 80 columns and 24 lines.
    return Group(head, Text(""), _documents(trip), Text(""), _destinations(trip), Text(""), _rates(trip, now, end))


def line(trip: Trip) -> str:
    """The board as one line, for an output that is not a terminal."""
    counts = trip.tally.count()
    words = [f"{STATE[state].english} {counts[state]}" for state in _STATES if counts[state]]
    return f"receipts {len(trip.receipts)}/{len(trip.parcels)} · " + " · ".join(words or ["nothing recorded yet"])


def _documents(trip: Trip) -> Table:
    counts = trip.tally.count()
    table = Table("documents", "", Column(justify="right"), box=None, pad_edge=False, header_style="bold")
    table.add_row("envoyés", "[dim]sent[/dim]", str(len(trip.receipts) + len(trip.refusals)))
    for state in _STATES:
        sentence = STATE[state]
        table.add_row(sentence.french, f"[dim]{sentence.english}[/dim]", Text(str(counts[state]), style=_COLOURS.get(state, "")))
    if trip.refusals:
        table.add_row("refusés", "[dim]refused[/dim]", Text(str(len(trip.refusals)), style="red"))
    if trip.repeats:
        table.add_row("déjà connus", "[dim]known already[/dim]", str(trip.repeats))
    return table


def _destinations(trip: Trip) -> Table:
    numbers = (Column(word, justify="right") for word in ("prévu", "différé", "remis", "abandonné"))
    table = Table("destinations", "", *numbers, box=None, pad_edge=False, header_style="bold")
    table.add_row("", "", *(f"[dim]{word}[/dim]" for word in ("planned", "deferred", "delivered", "given up")))
    found = trip.tally.destinations()
    for endpoint in sorted(KINDS, key=tuple(KINDS).index):
        counts = found.get(endpoint)
        cells = [str(counts[outcome]) if counts else "0" for outcome in ("planned", "deferred", "succeeded", "abandoned")]
        table.add_row(endpoint, f"[dim]{KINDS[endpoint]}[/dim]", *cells)
    return table


def _rates(trip: Trip, now: datetime, end: datetime) -> Text:
    seconds = max((end - trip.began_at).total_seconds(), 0.001)
    recent = trip.tally.delivered_since(now - timedelta(seconds=RATE_SECONDS)) / RATE_SECONDS
    delivered = len(trip.tally.delivered_at)
    ages = [(now - journey.received_at).total_seconds() for journey in trip.tally.unsettled() if journey.received_at]
    oldest = f"{max(ages):.1f} s" if ages else "-"
    return Text.from_markup(
        f"remis / delivered : {delivered}, {recent:.0f}/s [dim](moyenne / mean {delivered / seconds:.0f}/s)[/dim]"
        f" · le plus ancien en route / oldest under way : {oldest}"
    )
