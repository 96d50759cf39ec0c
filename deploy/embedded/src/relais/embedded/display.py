"""What people see of a stack: one line a step, one table."""

from rich.console import Console
from rich.table import Table

from relais.embedded.report import PartState, Phase, Report, age_text
from relais.processes.errors import LaunchError

_COLOURS = {
    PartState.READY: "green",
    PartState.EXTERNAL: "green",
    PartState.STARTING: "yellow",
    PartState.UNREADY: "yellow",
    PartState.WAITING: "red",
    PartState.STOPPED: "dim",
}


def show_report(console: Console, report: Report) -> None:
    """The whole stack as a table."""
    if report.phase is Phase.DOWN:
        console.print("The stack is down. Start it with `make up`.")
        return
    if report.phase is Phase.FAILED:
        console.print(f"[red]The last start failed.[/red] {report.error}\n{report.advice}", highlight=False)
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column, justify in (
        ("part", "left"),
        ("state", "left"),
        ("pid", "right"),
        ("since", "right"),
        ("restarts", "right"),
        ("listens", "left"),
    ):
        table.add_column(column, justify=justify)  # type: ignore[arg-type]
    for part in report.parts:
        state = f"[{_COLOURS[part.state]}]{part.state.value}[/]"
        listens = "  ".join(f"{purpose} {address}" for purpose, address in part.addresses.items())
        table.add_row(part.name, state, str(part.pid or ""), age_text(part.since), str(part.restarts or ""), listens)
    console.print(table)
    for part in report.parts:
        if part.said:
            console.print(f"{part.name}: {part.said}. Its log: {part.log}", highlight=False)
    console.print(f"{report.message}, since {age_text(report.started)}; {report.free_bytes // 2**20} MiB free on its disk", highlight=False)


def show_error(console: Console, error: LaunchError) -> None:
    """What went wrong, and what to do next."""
    console.print(f"[red]{error}[/red]", highlight=False)
    if error.advice:
        console.print(error.advice, highlight=False)
