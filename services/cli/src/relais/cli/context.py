"""`relais context`: which platforms this user knows, and which is the current one."""

import os
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from relais.cli.contexts import Choice, Contexts, contexts_folder, from_file, read_contexts, write_contexts
from relais.cli.exits import UsageError
from relais.cli.session import session_of

app = typer.Typer(no_args_is_help=True, help="Les plateformes connues. / Known platforms.")


@app.command("add")
def add(
    ctx: typer.Context,
    name: str,
    file: Annotated[Path, typer.Argument(help="Adresses et comptes, TOML. / Addresses and credentials.", exists=True, dir_okay=False)],
    site: Annotated[str, typer.Option("--site", help="Site par défaut. / Default site.")] = "",
) -> None:
    """Retient une plateforme, avec --tenant et --as, et en fait la courante. / Remembers a platform and makes it the current one."""
    session = session_of(ctx)

    def work() -> None:
        from_file(name, file)
        folder = contexts_folder(os.environ)
        known = read_contexts(folder)
        choice = Choice(file=str(file.absolute()), tenant=session.tenant, site=site, credential=session.credential)
        write_contexts(folder, Contexts(current=name, contexts={**known.contexts, name: choice}))
        session.voice.say(f"Contexte courant : {name}.", f"Current context: {name}.")

    session.ending(work)


@app.command("use")
def use(ctx: typer.Context, name: str) -> None:
    """Change de plateforme courante. / Makes another platform the current one."""
    session = session_of(ctx)

    def work() -> None:
        folder = contexts_folder(os.environ)
        known = read_contexts(folder)
        if name not in known.contexts:
            raise UsageError(f"Pas de contexte {name}. Voir relais context list.", f"There is no context {name}.")
        write_contexts(folder, msgspec.structs.replace(known, current=name))
        session.voice.say(f"Contexte courant : {name}.", f"Current context: {name}.")

    session.ending(work)


@app.command("remove")
def remove(ctx: typer.Context, name: str) -> None:
    """Oublie une plateforme. / Forgets a platform."""
    session = session_of(ctx)

    def work() -> None:
        folder = contexts_folder(os.environ)
        known = read_contexts(folder)
        left = {each: choice for each, choice in known.contexts.items() if each != name}
        write_contexts(folder, Contexts(current="" if known.current == name else known.current, contexts=left))

    session.ending(work)


@app.command("list")
def list_contexts(ctx: typer.Context) -> None:
    """Liste les plateformes connues. / Lists known platforms."""
    session = session_of(ctx)

    def work() -> None:
        known = read_contexts(contexts_folder(os.environ))
        for name, choice in known.contexts.items():
            session.voice.record({"name": name, "current": name == known.current, **msgspec.structs.asdict(choice)})
        session.voice.table(
            ("", "contexte / context", "tenant", "site", "compte / credential", "fichier / file"),
            [
                ("*" if name == known.current else "", name, choice.tenant, choice.site, choice.credential, choice.file)
                for name, choice in known.contexts.items()
            ],
        )

    session.ending(work)


@app.command("show")
def show(ctx: typer.Context) -> None:
    """Montre ce qui serait utilisé. / Shows what would be used."""
    session = session_of(ctx)

    def work() -> None:
        chosen = session.chosen()
        session.voice.record(
            {
                "name": chosen.name,
                "file": str(chosen.file),
                "tenant": chosen.tenant,
                "site": chosen.site,
                "credential": chosen.credential,
                "credentials": list(chosen.platform.credentials),
                "services": chosen.platform.services,
            }
        )
        rows = [("contexte / context", chosen.name), ("fichier / file", chosen.file), ("tenant", chosen.tenant), ("site", chosen.site)]
        rows += [("compte / credential", chosen.credential), ("comptes / credentials", ", ".join(chosen.platform.credentials))]
        rows += [(service, ", ".join(addresses)) for service, addresses in chosen.platform.services.items()]
        session.voice.table(("", ""), rows)

    session.ending(work)
