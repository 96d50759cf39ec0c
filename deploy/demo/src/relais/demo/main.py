"""The command of the demonstration: start what is not running, carry, watch, tell; leave the stack up."""

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Final, NoReturn

import msgspec
import typer
from rich.console import Console
from rich.live import Live
from rich.markup import escape

from relais.client.client import RelaisClient
from relais.client.errors import ClientError
from relais.demo.board import board, line
from relais.demo.cast import DOCUMENTS_MAXIMUM, SITES, Parcel, synthetic_parcels
from relais.demo.corpus import corpus_folder, corpus_parcels
from relais.demo.establishment import DEMO_SENDER, OPERATOR, TENANT, NotKnownInTime, chosen, establish, settings_of, wait_until_known
from relais.demo.outside import OutsideWorld
from relais.demo.road import Trip, travel
from relais.demo.story import tell
from relais.demo.summary import Summary, summarise
from relais.embedded.certificates import Pair
from relais.embedded.configuration import read_configuration
from relais.embedded.documents import choose_defaults
from relais.embedded.report import Phase, Report
from relais.embedded.stack import Stack, stack_here
from relais.processes.errors import LaunchError

FAILED: Final = 1
DOCUMENTS: Final = 200
BOARD_SECONDS: Final = 0.25
LINE_SECONDS: Final = 2.0
FILE_COLUMNS: Final = 160

app = typer.Typer(add_completion=False, pretty_exceptions_show_locals=False)

Documents = Annotated[int, typer.Option("--documents", min=0, max=DOCUMENTS_MAXIMUM, help="Documents synthétiques. / Synthetic documents.")]
Seed = Annotated[int, typer.Option("--seed", help="Mêmes patients pour la même graine. / Same seed, same patients.")]
WithCorpus = Annotated[bool, typer.Option("--corpus/--no-corpus", help="Aussi ceux de CORPUS_DIR. / Those of CORPUS_DIR too.")]
AsJson = Annotated[bool, typer.Option("--json", help="Le bilan en JSON. / The summary as JSON, on standard output.")]


class NothingToCarry(LaunchError):
    """No document was asked for, and there is no corpus."""


def main() -> None:
    """Entry point."""
    app()


@app.command()
def demo(documents: Documents = DOCUMENTS, seed: Seed = -1, corpus: WithCorpus = True, as_json: AsJson = False) -> None:
    """Démarre un Relais complet, porte des documents, et dit où chacun est arrivé. / Starts a whole Relais, carries documents, tells."""
    # Progress goes to standard error where standard output is for a program.
    console = Console(stderr=as_json, width=None if sys.stdout.isatty() and not as_json else FILE_COLUMNS)
    try:
        summary, context = _run(console, documents, seed if seed >= 0 else int(time.time()), with_corpus=corpus)
    except LaunchError as error:
        _give_up(console, str(error), error.advice)
    except NotKnownInTime as error:
        _give_up(console, f"The stack is up but does not know the demonstration's sender ({error}).", "Run make status, then try again.")
    except ClientError as error:
        _give_up(console, f"{error.reason or error.explanation.code}: {error}", "Run make status; the logs are in .relais/logs.")
    except OSError as error:
        _give_up(console, f"The sandbox does not answer ({error}).", "Run make status, then make down and try again.")
    except KeyboardInterrupt:
        _give_up(console, "Interrupted; the stack stays up.", "make down stops it; make demo goes on where it was.")
    if as_json:
        sys.stdout.write(msgspec.json.encode(summary).decode() + "\n")
    else:
        tell(console, summary, context)
    if summary.problems:
        raise typer.Exit(FAILED)


def _run(console: Console, documents: int, seed: int, *, with_corpus: bool) -> tuple[Summary, Path]:
    began = time.monotonic()
    parcels = _parcels(console, documents, seed, with_corpus=with_corpus)
    stack = stack_here()
    report = _started(console, stack)
    seconds_to_start = time.monotonic() - began
    context = stack.state.configuration / "context.toml"
    choose_defaults(stack.state, {"tenant": TENANT, "site": SITES[0], "credential": OPERATOR})
    outside = OutsideWorld(report.part("sandbox").addresses["control"])
    return asyncio.run(_carry(console, context, outside, parcels, seconds_to_start)), context


async def _carry(console: Console, context: Path, outside: OutsideWorld, parcels: list[Parcel], seconds_to_start: float) -> Summary:
    sender_settings = settings_of(context, DEMO_SENDER)
    trip = Trip.of(parcels)
    async with RelaisClient(settings_of(context, OPERATOR)) as operator, RelaisClient(sender_settings) as sender:
        _say(console, "une organisation, deux sites, un émetteur, trois destinataires", "a tenant, two sites, a sender, three partners")
        await establish(operator, _fingerprint(context))
        await outside.rehearse()
        await wait_until_known(sender_settings, parcels[0])
        await _shown(console, trip, lambda: travel(operator, sender, trip))
        return await summarise(operator, outside, trip, seconds_to_start)


async def _shown(console: Console, trip: Trip, work: Callable[[], Awaitable[None]]) -> None:
    """Do the work and show how it goes: a live board on a terminal, a line now and then elsewhere."""
    task = asyncio.ensure_future(work())
    try:
        if console.is_terminal:
            with Live(board(trip), console=console, auto_refresh=False) as live:
                while not (await asyncio.wait([task], timeout=BOARD_SECONDS))[0]:
                    live.update(board(trip), refresh=True)
                live.update(board(trip), refresh=True)
        else:
            while not (await asyncio.wait([task], timeout=LINE_SECONDS))[0]:
                console.print(f"  {line(trip)}", highlight=False)
            console.print(f"  {line(trip)}", highlight=False)
    finally:
        task.cancel()
    await task


def _parcels(console: Console, documents: int, seed: int, *, with_corpus: bool) -> list[Parcel]:
    parcels = list(synthetic_parcels(documents, seed))
    folder = corpus_folder() if with_corpus else None
    if folder is not None:
        parcels += corpus_parcels(folder)
    elif with_corpus:
        _say(console, "pas de corpus ici (CORPUS_DIR)", "no corpus here (CORPUS_DIR)")
    if not parcels:
        raise NothingToCarry("There is nothing to carry.", "Ask for --documents, or set CORPUS_DIR.")
    _say(console, f"{len(parcels)} documents prêts", f"{len(parcels)} documents ready")
    return parcels


def _started(console: Console, stack: Stack) -> Report:
    """The running stack, started when it was down."""
    report = stack.report()
    if report.phase is Phase.UP:
        _say(console, "la plateforme tourne déjà", "the stack is up already")
        return report
    replicas = read_configuration().replicas
    return stack.up(replicas=replicas, tell=lambda message: console.print(f"  [dim]{escape(message)}[/dim]", highlight=False))


def _fingerprint(context: Path) -> str:
    named = chosen(context, DEMO_SENDER).platform.credentials[DEMO_SENDER]
    return Pair(Path(named.certificate_file), Path(named.key_file)).fingerprint()


def _say(console: Console, french: str, english: str) -> None:
    console.print(f"  {escape(french)}  [dim]{escape(english)}[/dim]", highlight=False)


def _give_up(console: Console, message: str, advice: str) -> NoReturn:
    console.print(f"[red]{escape(message)}[/red]", highlight=False)
    if advice:
        console.print(escape(advice), highlight=False)
    raise typer.Exit(FAILED)
