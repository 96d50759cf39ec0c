"""The command `relais-embedded`: a whole Relais on one machine."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console

from relais.embedded.backup import back_up, restore
from relais.embedded.configuration import REPLICAS_MAXIMUM, read_configuration
from relais.embedded.display import show_error, show_report
from relais.embedded.keys import TOKEN_SECONDS_DEFAULT, Keys
from relais.embedded.report import Phase
from relais.embedded.stack import stack_here
from relais.processes.errors import LaunchError

FAILED = 1
NOT_UP = 3
FILE_COLUMNS = 160

app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="A whole Relais on one machine: Postgres, nats-server, sandbox, services."
)
# A table cut to 80 columns is of no use in a file.
console = Console(width=None if sys.stdout.isatty() else FILE_COLUMNS)
errors = Console(stderr=True)

Replicas = Annotated[int, typer.Option(envvar="REPLICAS", min=1, max=REPLICAS_MAXIMUM, help="Processes of each service.")]


def main() -> None:
    """Entry point of the console script."""
    app()


@contextmanager
def told() -> Iterator[None]:
    """A launch error is a sentence and an exit status, not a traceback."""
    try:
        yield
    except LaunchError as error:
        show_error(errors, error)
        raise typer.Exit(FAILED) from error


@app.command()
def up(replicas: Replicas = 1) -> None:
    """Start everything in the background and wait until it is ready."""
    with told():
        read_configuration(replicas=replicas)
        report = stack_here().up(replicas=replicas, tell=lambda message: console.print(f"  {message}", highlight=False))
    show_report(console, report)


@app.command()
def down() -> None:
    """Stop everything; the data stay."""
    with told():
        stopped = stack_here().down()
    console.print("The stack is down; its data stay." if stopped else "The stack was not up.")


@app.command()
def status(json: Annotated[bool, typer.Option("--json", help="For programs.")] = False) -> None:
    """What runs, since when, where it listens. Exit status 3 when it is not up."""
    report = stack_here().report()
    if json:
        sys.stdout.write(msgspec.json.encode(report).decode() + "\n")
    else:
        show_report(console, report)
    if report.phase is not Phase.UP:
        raise typer.Exit(NOT_UP)


@app.command()
def token(subject: str, seconds: Annotated[int, typer.Option(min=1)] = TOKEN_SECONDS_DEFAULT) -> None:
    """Sign a token for a subject, as an identity provider would; write it on standard output."""
    sys.stdout.write(Keys(stack_here().state.keys).sign_token(subject, seconds) + "\n")


@app.command()
def backup(
    folder: Annotated[Path, typer.Argument(help="New folder for the record.")],
    keys: Annotated[Path, typer.Option(help="New folder for the keys; another place, kept for a shorter time.")],
) -> None:
    """Copy the record and, apart from it, the keys, while everything runs."""
    with told():
        back_up(stack_here(), folder, keys, tell=lambda message: console.print(f"  {message}", highlight=False))


@app.command("restore")
def restore_command(
    folder: Annotated[Path, typer.Argument(help="The folder a backup wrote the record to.")],
    keys: Annotated[Path, typer.Option(help="The folder the same backup wrote the keys to.")],
) -> None:
    """Put a backup into an empty state folder. JetStream is rebuilt from the record at the next start."""
    with told():
        restore(stack_here(), folder, keys, tell=lambda message: console.print(f"  {message}", highlight=False))


if __name__ == "__main__":
    main()
