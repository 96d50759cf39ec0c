"""The end of a demonstration, told to people: what arrived where, one timeline, what waits and why, and what to type next."""

import os
from datetime import datetime
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from relais.cli.contexts import contexts_folder, read_contexts
from relais.cli.sentences import said
from relais.client.document_records import Document
from relais.client.words import id_of
from relais.demo.board import KINDS
from relais.demo.establishment import DEMO_SENDER
from relais.demo.summary import Summary


def tell(console: Console, summary: Summary, context: Path) -> None:
    """Everything, in the order in which people ask."""
    _headline(console, summary)
    _arrivals(console, summary)
    if summary.timeline is not None:
        _timeline(console, summary.timeline)
    _held(console, summary)
    _next(console, summary, context)
    if summary.problems:
        _problems(console, summary.problems)


def _headline(console: Console, summary: Summary) -> None:
    carried = summary.receipts - summary.known_already
    taken, whole = f"{summary.seconds_to_acknowledge:.1f} s", f"{summary.seconds_to_carry:.1f} s"
    french = f"{carried} documents pris en charge en {taken}, portés en {whole}"
    console.print(f"\n[bold]{french}[/bold]  [dim]acknowledged in {taken}, carried in {whole}[/dim]", highlight=False)
    if summary.known_already:
        console.print(
            f"{summary.known_already} déjà connus : même reçu, rien de plus n'est parti."
            f"  [dim]{summary.known_already} known already: the same receipt, nothing more was sent[/dim]",
            highlight=False,
        )


def _arrivals(console: Console, summary: Summary) -> None:
    _title(console, "Ce qui est arrivé, selon les destinataires", "what arrived, as the partners say")
    table = Table(
        "destination", "", "prévus", "remis", "réessayés", "abandonnés", "reçus", "octet pour octet", box=None, header_style="bold"
    )
    table.add_row("", "", *(f"[dim]{word}[/dim]" for word in ("planned", "delivered", "retried", "given up", "received", "byte for byte")))
    for partner in summary.partners:
        table.add_row(
            partner.endpoint,
            KINDS.get(partner.endpoint, ""),
            *(str(number) for number in (partner.planned, partner.delivered, partner.retried, partner.abandoned, partner.arrived)),
            "[green]oui / yes[/green]" if partner.identical and partner.believed else "[red]NON / NO[/red]",
        )
    console.print(table)
    for reason, count in sorted(summary.suppressed.items(), key=lambda item: -item[1]):
        console.print(f"  écartés / suppressed: {count} × {escape(said(reason))}", highlight=False)


def _timeline(console: Console, document: Document) -> None:
    _title(console, f"Une histoire : {id_of(document.name)}", "one timeline")
    table = Table(box=None, header_style="bold", show_header=False)
    begin = document.received_at or document.updated_at
    for step in document.steps:
        where = f"→ {step.ordinal}" if step.ordinal is not None else ""
        table.add_row(_after(step.recorded_at, begin), step.log, escape(said(step.tag)), where, escape(", ".join(map(said, step.codes))))
    console.print(table)


def _held(console: Console, summary: Summary) -> None:
    _title(console, "Ce qui attend une personne, et pourquoi", "what waits for a person, and why")
    table = Table("", "", "", "exemple / example", box=None, header_style="bold")
    for held in summary.held:
        table.add_row(str(held.documents), held.by, escape(said(held.reason)), held.example)
    console.print(table)


def _next(console: Console, summary: Summary, context: Path) -> None:
    _title(console, "Et maintenant", "what to type next")
    relais = command(context)
    held = next((held for held in summary.held if held.reason == "IDENTITY_DISAGREES"), None)
    lines = [(f"{relais} documents --filter 'state = HELD'", "ce qui attend / what waits")]
    if summary.timeline is not None:
        document = id_of(summary.timeline.name)
        lines += [
            (f"{relais} timeline {document}", "son histoire / its story"),
            (f"{relais} explain {document}", "pourquoi là / why there"),
        ]
    if held is not None:
        lines += [
            (
                f'{relais} evidence {held.example} --reason "contrôle"',
                "ce qui diffère ; la lecture est un fait / what differs; the read is a fact",
            ),
            (f'{relais} release {held.example} --status QUALIFIEE --reason "vérifié au guichet"', "le laisser partir / let it go"),
        ]
    lines += [
        (f"{relais} site add hopital-neuf --group vallee", "un site de plus, sans redémarrer / one more site, no restart"),
        (f"{relais} --as {DEMO_SENDER} submit FICHIER.xml --watch", "envoyer le vôtre / send your own"),
        (f"{relais} events delivery --follow", "le journal en direct / the log, live"),
        ("make status", "ce qui tourne / what runs"),
        ("make down", "tout arrêter, les données restent / stop; the data stay"),
    ]
    for typed, meaning in lines:
        # One line each, however narrow the terminal: they are there to be copied.
        console.print(f"  [dim]# {escape(meaning)}[/dim]", highlight=False)
        console.print(f"  [bold]{escape(typed)}[/bold]", highlight=False, soft_wrap=True)


def _problems(console: Console, problems: list[str]) -> None:
    console.print("\n[bold red]Tout ne s'est pas passé comme prévu / not everything went as it should:[/bold red]")
    for problem in problems[:10]:
        console.print(f"  [red]{escape(problem)}[/red]", highlight=False)
    if len(problems) > len(problems[:10]):
        console.print(f"  [red]… {len(problems) - 10} more[/red]", highlight=False)


def command(context: Path) -> str:
    """How to call `relais` from here so that it finds this stack: it does by itself, unless the user works with another platform."""
    program = ".venv/bin/relais" if Path(".venv/bin/relais").exists() else "relais"
    finds_it = context.is_relative_to(Path.cwd() / ".relais") and not read_contexts(contexts_folder(os.environ)).current
    return program if finds_it else f"{program} --context {context}"


def _title(console: Console, french: str, english: str) -> None:
    console.print(f"\n[bold]{escape(french)}[/bold]  [dim]{escape(english)}[/dim]", highlight=False)


def _after(at: datetime | None, begin: datetime | None) -> str:
    return f"+{max((at - begin).total_seconds(), 0.0):.3f} s" if at is not None and begin is not None else ""
