"""Where documents are: `relais documents`, `relais timeline`, and what `relais submit --watch` shows."""

import asyncio
from collections.abc import Sequence

import typer
from rich.markup import escape
from rich.progress import MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from relais.cli.arguments import FilterOption, LimitOption
from relais.cli.exits import ExitCode, worst
from relais.cli.sentences import said
from relais.cli.session import Session, session_of
from relais.cli.voice import OutputKind, cell
from relais.client.client import RelaisClient
from relais.client.document_records import Document, Step
from relais.client.errors import ClientError
from relais.client.words import id_of

# A document stops being followed here: the rest is a person's work, or nobody's.
RESTING_STATES = frozenset({"DONE", "REJECTED", "HELD"})
FOLLOWED_AT_ONCE_MAXIMUM = 32
LINES_FOR_DOCUMENTS_MAXIMUM = 5


def documents(ctx: typer.Context, matching: FilterOption = "", limit: LimitOption = 50) -> None:
    """Liste les documents, les plus récents d'abord. / Lists documents, newest first."""

    async def work(session: Session, client: RelaisClient) -> None:
        found = [document async for document in client.documents.list(matching, limit=limit)]
        for document in found:
            session.voice.record(document)
        session.voice.table(
            ("document", "état / state", "site", "type", "reçu / received", "destinations"),
            [(id_of(each.name), said(each.state), each.site, each.type_code, each.received_at, outcomes(each)) for each in found],
        )

    session_of(ctx).with_client(work)


def timeline(ctx: typer.Context, document: str) -> None:
    """Raconte un document, pas à pas. / Tells a document's story, step by step."""

    async def work(session: Session, client: RelaisClient) -> None:
        found = await client.documents.get(document)
        session.voice.record(found)
        if session.voice.kind is OutputKind.TABLE:
            _show(session, found)

    session_of(ctx).with_client(work)


def watch(ctx: typer.Context, found: list[str], seconds: float = 600.0) -> None:
    """Suit des documents jusqu'au dénouement. / Follows documents to their outcome."""

    async def work(session: Session, client: RelaisClient) -> ExitCode | None:
        return await follow(session, client, found, seconds)

    session_of(ctx).with_client(work)


async def follow(session: Session, client: RelaisClient, names: Sequence[str], seconds: float) -> ExitCode | None:
    """Follow documents until each rests, or for so many seconds; UNFINISHED when one was not carried everywhere it should go."""
    last: dict[str, Document] = {}
    failures: list[ClientError] = []
    turn = asyncio.Semaphore(FOLLOWED_AT_ONCE_MAXIMUM)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=session.voice.err, transient=True) as progress:
        task = progress.add_task("Suivi / Following", total=len(names))

        async def one(name: str) -> None:
            async with turn:
                try:
                    async for change in client.documents.watch(name):
                        last[name] = change.document
                        for step in change.steps:
                            _tell(session, name, step, alone=len(names) <= LINES_FOR_DOCUMENTS_MAXIMUM)
                        if change.document.state in RESTING_STATES:
                            break
                except ClientError as error:
                    failures.append(error)
                    session.voice.error(error)
                progress.advance(task)

        try:
            async with asyncio.timeout(seconds), asyncio.TaskGroup() as group:
                for name in names:
                    group.create_task(one(name))
        except TimeoutError:
            session.voice.say(
                "Délai de suivi écoulé ; les documents poursuivent leur route.", "Time is up; the documents go on without us."
            )
    return worst(failures) or _conclude(session, names, last)


def _conclude(session: Session, names: Sequence[str], last: dict[str, Document]) -> ExitCode | None:
    session.voice.table(
        ("document", "état / state", "destinations"),
        [(id_of(name), said(last[name].state) if name in last else "?", outcomes(last[name]) if name in last else "") for name in names],
    )
    held = [name for name in names if name in last and last[name].state == "HELD"]
    if held:
        session.voice.say("→ Retenus : voyez relais held, puis relais release ou relais reject.", "→ Held: see relais held.")
    carried = all(
        name in last and last[name].state == "DONE" and all(each.outcome != "ABANDONED" for each in last[name].destinations)
        for name in names
    )
    return None if carried else ExitCode.UNFINISHED


def _tell(session: Session, name: str, step: Step, *, alone: bool) -> None:
    session.voice.record({"document": name, "step": step})
    if session.voice.kind is OutputKind.TABLE and alone:
        codes = ", ".join(map(said, step.codes))
        where = f" [{step.ordinal}]" if step.ordinal is not None else ""
        line = f"{cell(step.recorded_at)}  {id_of(name)[:8]}  {said(step.tag)}{where}  {codes}"
        session.voice.out.print(escape(line.rstrip()))


def _show(session: Session, document: Document) -> None:
    session.voice.out.print(f"[bold]{escape(document.name)}[/bold]  {escape(said(document.state))}")
    session.voice.out.print(escape(f"site {document.site} · {document.sender} · type {document.type_code} · {document.size_bytes} o / B"))
    session.voice.table(
        ("quand / when", "journal / log", "n°", "étape / step", "dest.", "détail / detail"),
        [
            (each.recorded_at, each.log, each.position, said(each.tag), each.ordinal, ", ".join(map(said, each.codes)))
            for each in document.steps
        ],
    )
    session.voice.table(
        ("dest.", "genre / kind", "issue / outcome", "détail / detail", "prochain essai / due"),
        [(each.ordinal, said(each.kind), said(each.outcome), said(each.code), each.due_at) for each in document.destinations],
    )


def outcomes(document: Document) -> str:
    """How many destinations are how far: `2 remis / delivered, 1 écarté / suppressed`."""
    counts: dict[str, int] = {}
    for destination in document.destinations:
        counts[destination.outcome] = counts.get(destination.outcome, 0) + 1
    return ", ".join(f"{count} {said(outcome)}" for outcome, count in counts.items())
