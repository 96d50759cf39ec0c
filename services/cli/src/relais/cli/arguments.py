"""The options that every command understands, wherever they stand on the line."""

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from relais.cli.voice import OutputKind

# Each takes a value.
_EVERYWHERE = ("--context", "--tenant", "--as", "--output", "-o")


def hoisted(arguments: list[str]) -> list[str]:
    """The same line with the options of every command in front: `relais documents -o json` is `relais -o json documents`.

    What stands behind `--` is left alone.
    """
    front: list[str] = []
    rest: list[str] = []
    remaining = list(arguments)
    while remaining:
        argument = remaining.pop(0)
        if argument == "--":
            return [*front, *rest, argument, *remaining]
        if argument in _EVERYWHERE and remaining:
            front += [argument, remaining.pop(0)]
        elif argument.startswith(tuple(f"{option}=" for option in _EVERYWHERE if option.startswith("--"))):
            front.append(argument)
        else:
            rest.append(argument)
    return front + rest


class EverywhereGroup(TyperGroup):
    """The root of the command, which takes its own options from anywhere on the line."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, hoisted(args))


ContextOption = Annotated[
    str, typer.Option("--context", envvar="RELAIS_CONTEXT", help="Contexte : un nom, ou un fichier. / A context's name, or a file.")
]
TenantOption = Annotated[str, typer.Option("--tenant", envvar="RELAIS_TENANT", help="Organisation. / Tenant.")]
CredentialOption = Annotated[str, typer.Option("--as", envvar="RELAIS_AS", help="Compte du contexte. / One of the context's credentials.")]
OutputOption = Annotated[OutputKind, typer.Option("--output", "-o", help="table, json : un objet par ligne. / one object a line.")]
ReasonOption = Annotated[
    str, typer.Option("--reason", help="Pourquoi ; conservé, sans rien sur une personne. / Why; kept, nothing about a person.")
]
LimitOption = Annotated[int, typer.Option("--limit", "-n", min=1, max=10_000, help="Au plus. / At most.")]
FilterOption = Annotated[str, typer.Option("--filter", help='Filtre AIP-160. / AIP-160 filter: state = HELD AND site = "x".')]
