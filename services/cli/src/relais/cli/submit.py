"""`relais submit`: one document, many, or a large one, and what became of each."""

import asyncio
import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from relais.cli.contexts import contexts_folder
from relais.cli.exits import ExitCode, UsageError, worst
from relais.cli.follow import follow
from relais.cli.session import Session, session_of
from relais.cli.submission import Declared, build_submission, request_key
from relais.client.client import RelaisClient
from relais.client.document_records import UNARY_BYTES_MAXIMUM, Receipt, Submission
from relais.client.errors import ClientError
from relais.contracts.submission import Opposition

FILES_MAXIMUM = 10_000


@dataclass(frozen=True)
class Parcel:
    """One file on its way."""

    file: Path
    submission: Submission
    size: int


def submit(
    ctx: typer.Context,
    files: Annotated[list[Path], typer.Argument(help="Documents CDA. / CDA documents.", exists=True, dir_okay=False, readable=True)],
    site: Annotated[str, typer.Option("--site", envvar="RELAIS_SITE", help="Site émetteur. / Sending site.")] = "",
    identity: Annotated[
        Path | None, typer.Option("--identity", help="Identité déclarée, TOML ou JSON. / Declared identity.", exists=True, dir_okay=False)
    ] = None,
    sidecar: Annotated[
        Path | None,
        typer.Option("--with", help="Tout ce qui accompagne le document. / All that goes with it.", exists=True, dir_okay=False),
    ] = None,
    professional: Annotated[str, typer.Option("--professional", help="PS_IdNat de l'émetteur. / The sender's PS_IdNat.")] = "",
    opposition: Annotated[Opposition | None, typer.Option("--opposition", help="À l'alimentation du DMP. / To feeding the DMP.")] = None,
    flags: Annotated[list[str] | None, typer.Option("--flag", help="NOM=Y|N ; rest=N pour tous les autres. / for all others.")] = None,
    recipients: Annotated[list[str] | None, typer.Option("--to", help="GENRE:ADRESSE. / KIND:ADDRESS.")] = None,
    request_id: Annotated[str, typer.Option("--request-id", help="UUID ; sinon dérivé du contenu. / else derived.")] = "",
    validate: Annotated[bool, typer.Option("--validate", help="Vérifie sans rien envoyer. / Checks, sends nothing.")] = False,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Suit jusqu'au dénouement. / Follows to the outcome.")] = False,
    watch_seconds: Annotated[float, typer.Option("--watch-seconds", min=1, help="Au plus. / At most.")] = 600.0,
) -> None:
    """Envoie des documents ; relancer ne fait rien deux fois. / Submits documents; the same command again does nothing twice."""
    declared = Declared(
        site=site,
        identity=identity,
        sidecar=sidecar,
        professional=professional,
        opposition=opposition,
        flags=tuple(flags or ()),
        recipients=tuple(recipients or ()),
        request_id=request_id,
    )

    async def work(session: Session, client: RelaisClient) -> ExitCode | None:
        parcels = prepare(declared, files, session.chosen().site)
        if validate:
            return await _validate(session, client, parcels)
        receipts, code = await _send(session, client, parcels)
        if watch and receipts:
            followed = await follow(session, client, [receipt.document for receipt in receipts], watch_seconds)
            return code or followed
        return code

    session_of(ctx).with_client(work)


def prepare(declared: Declared, files: Sequence[Path], site: str) -> list[Parcel]:
    """Every file with its submission, before anything is sent. Raises `UsageError`."""
    if len(files) > FILES_MAXIMUM:
        raise UsageError(f"Au plus {FILES_MAXIMUM} fichiers à la fois.", f"At most {FILES_MAXIMUM} files at once.")
    if declared.request_id and len(files) > 1:
        raise UsageError("--request-id ne vaut que pour un seul fichier.", "--request-id is for one file only.")
    key = b"" if declared.request_id else request_key(contexts_folder(os.environ))
    parcels = []
    for file in files:
        with file.open("rb") as opened:
            digest = hashlib.file_digest(opened, "sha256").digest()
        parcels.append(Parcel(file, build_submission(declared, file, digest, site, key), file.stat().st_size))
    return parcels


async def _validate(session: Session, client: RelaisClient, parcels: Sequence[Parcel]) -> ExitCode | None:
    refusals: list[ClientError] = []
    rows = []
    for parcel in parcels:
        try:
            answer = await client.documents.validate(parcel.submission, await asyncio.to_thread(parcel.file.read_bytes))
        except ClientError as error:
            refusals.append(error)
            _refused(session, parcel, error)
            continue
        rows.append((parcel.file.name, answer.verdict, answer.type_code, answer.document))
        session.voice.record({"file": str(parcel.file), "validation": answer})
    session.voice.table(("fichier / file", "verdict", "type", "document"), rows)
    return worst(refusals)


async def _send(session: Session, client: RelaisClient, parcels: Sequence[Parcel]) -> tuple[list[Receipt], ExitCode | None]:
    small = [parcel for parcel in parcels if parcel.size <= UNARY_BYTES_MAXIMUM]
    large = [parcel for parcel in parcels if parcel.size > UNARY_BYTES_MAXIMUM]
    ends = [*await _send_small(session, client, small), *await _send_large(session, client, large)]
    receipts, rows = [], []
    for parcel, end in ends:
        if isinstance(end, ClientError):
            _refused(session, parcel, end)
            continue
        receipts.append(end)
        rows.append((parcel.file.name, end.document.rpartition("/")[2], end.tenant_sequence, end.recorded_at, end.duplicate))
        session.voice.record({"file": str(parcel.file), "receipt": end})
    if rows:
        session.voice.table(("fichier / file", "document", "n°", "reçu / received", "déjà reçu / duplicate"), rows)
    return receipts, worst([end for _, end in ends if isinstance(end, ClientError)])


async def _send_small(session: Session, client: RelaisClient, parcels: Sequence[Parcel]) -> list[tuple[Parcel, Receipt | ClientError]]:
    if len(parcels) <= 1:
        return [(parcel, await _one(client, parcel)) for parcel in parcels]
    ends: list[tuple[Parcel, Receipt | ClientError]] = []
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=session.voice.err, transient=True) as progress:
        task = progress.add_task("Envoi / Submitting", total=len(parcels))
        answers: list[tuple[Parcel, asyncio.Future[Receipt]]] = []
        async with client.documents.bulk() as bulk:
            for parcel in parcels:
                try:
                    answer = await bulk.send(parcel.submission, await asyncio.to_thread(parcel.file.read_bytes))
                except ClientError as error:
                    ends.append((parcel, error))
                    progress.advance(task)
                    continue
                answer.add_done_callback(lambda _: progress.advance(task))
                answers.append((parcel, answer))
        for parcel, answer in answers:
            try:
                ends.append((parcel, await answer))
            except ClientError as error:
                ends.append((parcel, error))
    return ends


async def _one(client: RelaisClient, parcel: Parcel) -> Receipt | ClientError:
    try:
        return await client.documents.submit(parcel.submission, await asyncio.to_thread(parcel.file.read_bytes))
    except ClientError as error:
        return error


async def _send_large(session: Session, client: RelaisClient, parcels: Sequence[Parcel]) -> list[tuple[Parcel, Receipt | ClientError]]:
    ends: list[tuple[Parcel, Receipt | ClientError]] = []
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(binary_units=True), TimeElapsedColumn())
    with Progress(*columns, console=session.voice.err, transient=True) as progress:
        for parcel in parcels:
            task = progress.add_task(parcel.file.name, total=parcel.size)

            def show(done: int, _size: int, task: TaskID = task) -> None:
                progress.update(task, completed=done)

            try:
                ends.append((parcel, await client.documents.upload(parcel.submission, parcel.file, show)))
            except ClientError as error:
                ends.append((parcel, error))
    return ends


def _refused(session: Session, parcel: Parcel, error: ClientError) -> None:
    session.voice.record({"file": str(parcel.file), "error": error.explanation})
    session.voice.err.print(f"[bold]{escape(parcel.file.name)}[/bold]")
    session.voice.error(error)
