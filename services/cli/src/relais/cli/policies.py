"""`relais policy`: what an administrator decides about routing, from a file.

scope = "tenant"                     # or group:NAME, site:NAME
matrix_mode = "STRICT"
[[endpoints]]
kind = "DMP"                         # MSSANTE_PROFESSIONAL, MSSANTE_PATIENT, SOFTWARE
connector = "https"
endpoint = "sandbox-one"
type_codes = ["11490-0"]             # empty: all
"""

from pathlib import Path
from typing import Annotated
from uuid import uuid4

import typer

from relais.cli.arguments import FilterOption, LimitOption
from relais.cli.session import Session, session_of
from relais.cli.submission import read_file
from relais.client.client import RelaisClient
from relais.client.routing import NewPolicy, Policy

app = typer.Typer(no_args_is_help=True, help="Les politiques de routage. / Routing policies.")
FileArgument = Annotated[Path, typer.Argument(help="TOML ou JSON. / TOML or JSON.", exists=True, dir_okay=False)]


@app.command("validate")
def validate(ctx: typer.Context, file: FileArgument) -> None:
    """Vérifie une politique sans la garder. / Checks a policy, keeps nothing."""

    async def work(session: Session, client: RelaisClient) -> None:
        warnings = await client.routing.validate_policy(read_file(file, NewPolicy))
        session.voice.record({"warnings": warnings})
        session.voice.say("Utilisable.", "It can be used.")
        for warning in warnings:
            session.voice.say(f"À savoir : {warning}", "To be known.")

    session_of(ctx).with_client(work)


@app.command("apply")
def apply(
    ctx: typer.Context,
    file: FileArgument,
    draft: Annotated[bool, typer.Option("--draft", help="Sans l'activer. / Without activating it.")] = False,
) -> None:
    """Crée la version suivante d'une politique et l'active. / Creates a policy's next version and activates it."""

    async def work(session: Session, client: RelaisClient) -> None:
        created = await client.routing.create_policy(read_file(file, NewPolicy), str(uuid4()))
        _show(session, [created if draft else await client.routing.activate_policy(created.name, created.etag)])

    session_of(ctx).with_client(work)


@app.command("activate")
def activate(ctx: typer.Context, scope: str, version: int) -> None:
    """Fait décider une version existante. / Lets an existing version decide."""

    async def work(session: Session, client: RelaisClient) -> None:
        found = await client.routing.get_policy(scope, version)
        _show(session, [await client.routing.activate_policy(found.name, found.etag)])

    session_of(ctx).with_client(work)


@app.command("list")
def list_policies(ctx: typer.Context, matching: FilterOption = "", limit: LimitOption = 50) -> None:
    """Liste les versions. / Lists versions."""

    async def work(session: Session, client: RelaisClient) -> None:
        _show(session, [each async for each in client.routing.policies(matching, limit=limit)])

    session_of(ctx).with_client(work)


def _show(session: Session, policies: list[Policy]) -> None:
    for each in policies:
        session.voice.record(each)
    session.voice.table(
        ("portée / scope", "version", "active", "matrice / matrix", "canaux / endpoints", "créée / created"),
        [
            (
                each.content.scope,
                each.version,
                each.active,
                f"{each.content.matrix_mode} {each.content.matrix}",
                ", ".join(f"{choice.kind}→{choice.endpoint}" for choice in each.content.endpoints),
                each.created_at,
            )
            for each in policies
        ],
    )
