"""`relais events`: the logs as auditors read them."""

from dataclasses import asdict
from typing import Annotated

import msgspec
import typer
from rich.markup import escape

from relais.cli.arguments import ReasonOption
from relais.cli.exits import UsageError
from relais.cli.sentences import said
from relais.cli.session import Session, session_of
from relais.cli.voice import OutputKind, cell
from relais.client.audit import SERVICE_OF_LOG, CaughtUp, Event, FellBehind, Question, ReadUpTo
from relais.client.client import RelaisClient


def events(
    ctx: typer.Context,
    log: Annotated[str, typer.Argument(help=f"Journal. / Log: {', '.join(SERVICE_OF_LOG)}.")] = "ingestion",
    from_position: Annotated[int, typer.Option("--from", min=0, help="Première position. / First position.")] = 0,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Continue avec ce qui vient. / Goes on with what comes.")] = False,
    tags: Annotated[list[str] | None, typer.Option("--tag", help="Seulement ces faits. / Only these facts.")] = None,
    streams: Annotated[list[str] | None, typer.Option("--stream", help="Seulement ces flux. / Only these streams.")] = None,
    every_tenant: Annotated[bool, typer.Option("--every-tenant", help="Toutes les organisations. / Every tenant.")] = False,
    reveal: Annotated[bool, typer.Option("--reveal", help="Ouvre les parties scellées ; tracé. / Opens sealed parts; recorded.")] = False,
    reason: ReasonOption = "",
) -> None:
    """Lit un journal dans son ordre. / Reads a log in its order."""
    question = Question(
        from_position=from_position,
        tags=tuple(tags or ()),
        streams=tuple(streams or ()),
        follow=follow,
        reveal=reveal,
        reason=reason,
        every_tenant=every_tenant,
    )

    async def work(session: Session, client: RelaisClient) -> None:
        if reveal and not reason:
            raise UsageError('Dites pourquoi : --reason "…".', 'Say why: --reason "…".')
        async for frame in client.audit(log).read(question):
            match frame:
                case Event():
                    _tell(session, frame)
                case CaughtUp() if follow:
                    session.voice.say(f"À jour : position {frame.position}.", f"Caught up at {frame.position}.")
                case FellBehind():
                    session.voice.say(f"En retard : {frame.position} sur {frame.head_position}.", "Fallen behind.")
                case CaughtUp() | ReadUpTo():
                    continue

    session_of(ctx).with_client(work, needs_tenant=not every_tenant)


def _tell(session: Session, event: Event) -> None:
    if session.voice.kind is OutputKind.JSON:
        shown = asdict(event)
        shown["payload"] = msgspec.Raw(event.payload or b"null")
        shown["opened"] = msgspec.Raw(event.opened or b"null")
        session.voice.record(shown)
        return
    sealed = f"  scellé / sealed: {', '.join(event.sealed_fields)}" if event.sealed_fields and not event.opened else ""
    line = f"{event.position:>8}  {cell(event.recorded_at)}  {event.tenant}  {event.tag}  {event.stream}  {event.actor}"
    session.voice.out.print(escape(line), f"[dim]{escape(said(event.tag) if said(event.tag) != event.tag else '')}{escape(sealed)}[/dim]")
    if event.opened:
        session.voice.out.print(escape(event.opened.decode("utf-8", "replace")))
