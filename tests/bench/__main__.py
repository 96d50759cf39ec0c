"""`make bench`: the workload *carry*, measured. README.md in this folder says what each figure means.

make bench                                  the whole run, some minutes
make bench ARGS="--documents 100000"        to see that nothing grows
make bench ARGS="--profile delivery-1"      where a part's time goes (postgres and nats-server too)
"""

import asyncio
import signal
from pathlib import Path
from typing import Annotated, Final

import typer
import uvloop
from rich.console import Console

from relais.processes.errors import LaunchError
from tests.bench.carry import Bench, Plan, Run, Tell
from tests.bench.loading import GeneratorDied, LoadRefused, Stalled, running_generator
from tests.bench.plot import draw
from tests.bench.profiling import ProfilerMissing, hot_spots
from tests.bench.report import tell, write_json
from tests.bench.stage import staged

COLUMNS: Final = 160
FAILED: Final = 1
DOCUMENTS: Final = 20_000
DOCUMENTS_MAXIMUM: Final = 1_000_000
OPEN_SECONDS: Final = 60
STREAMS: Final = 4
ROAD_DOCUMENTS: Final = 2_400
FOLDER: Final = Path("build") / "bench"

app = typer.Typer(add_completion=False, pretty_exceptions_show_locals=False)


@app.command()
def bench(
    documents: Annotated[int, typer.Option(min=1000, max=DOCUMENTS_MAXIMUM, help="Documents of the closed loop.")] = DOCUMENTS,
    open_seconds: Annotated[int, typer.Option(min=0, max=600, help="Length of the open loop at 100/s; 0 leaves it out.")] = OPEN_SECONDS,
    streams: Annotated[int, typer.Option(min=1, max=64, help="Streams, each with 64 documents unanswered at most.")] = STREAMS,
    road: Annotated[int, typer.Option(min=0, help="Documents under way at once in the closed loop; 0 is no bound.")] = ROAD_DOCUMENTS,
    replicas: Annotated[int, typer.Option(min=1, max=8, help="Processes of each service.")] = 1,
    floors: Annotated[bool, typer.Option(help="Measure the floors too.")] = True,
    profile: Annotated[list[str] | None, typer.Option(help="Sample this part during the closed loop: delivery-1, postgres, all …")] = None,
    folder: Annotated[Path, typer.Option(help="Where carry.json and carry.png go.")] = FOLDER,
) -> None:
    """Carry documents through a whole stack on this machine and report what it took."""
    console = Console(width=None if Console().is_terminal else COLUMNS)
    folder.mkdir(parents=True, exist_ok=True)
    plan = Plan(
        documents=documents,
        open_seconds=open_seconds,
        streams=streams,
        road_documents=road,
        replicas=replicas,
        floors=floors,
        profile=tuple(profile or ()),
        folder=folder.absolute(),
    )

    def say(step: str) -> None:
        console.print(f"[dim]{step}[/dim]")

    try:
        say("starting the stack, the sink and the generator")
        run = uvloop.run(_run(plan, say))
    except LaunchError as error:
        console.print(f"[red]{error}[/red]\n{error.advice}")
        raise typer.Exit(FAILED) from None
    except asyncio.CancelledError:
        console.print("stopped")
        raise typer.Exit(FAILED) from None
    except (Stalled, LoadRefused, GeneratorDied, ProfilerMissing) as error:
        console.print(f"[red]{error}[/red]")
        raise typer.Exit(FAILED) from None
    write_json(run.carry, folder / "carry.json")
    draw(run.carry, run.lines, run.arrivals, folder / "carry.png")
    for part in plan.profile:
        console.rule(part)
        for table in hot_spots(folder / f"{part}.stacks"):
            console.print(table)
    say(f"{folder / 'carry.json'}, {folder / 'carry.png'}")
    tell(console, run.carry)
    if run.carry.audit.violations:
        raise typer.Exit(FAILED)


async def _run(plan: Plan, say: Tell) -> Run:
    # Whoever stops a bench wants its stack to be stopped with it.
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    async with staged(plan.replicas) as stage, running_generator() as generator:
        return await Bench(stage, generator, plan, say).run()


if __name__ == "__main__":
    app()
