"""Everything the command says: tables or JSON lines on standard output, sentences on standard error, French first with English beside it.

With `--output json`, standard output holds one JSON object a line and nothing else, so that it can be piped.
"""

import base64
import os
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime
from enum import Enum

import msgspec
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from relais.cli.exits import UsageError
from relais.client.errors import ClientError, Overloaded, SettingsError, Unavailable


class OutputKind(Enum):
    """How results are written."""

    TABLE = "table"
    JSON = "json"


# What is not a terminal has no width of its own; a table cut to 80 columns is of no use in a file.
FILE_COLUMNS = 160
# What people copy to the next command must stand whole on one line; everything else is folded, never cut.
_COPIED = frozenset({"document", "remise / delivery"})

# What to do next, by the platform's reason; the reason's own sentence comes from the platform.
_NEXT = {
    "CREDENTIAL_MISSING": ("Choisissez un compte : relais --as NOM, ou relais context show.", "Choose a credential: relais --as NAME."),
    "CREDENTIAL_UNKNOWN": ("Faites enregistrer ce compte : relais credential add.", "Have it registered: relais credential add."),
    "TOKEN_EXPIRED": ("Renouvelez le fichier du jeton, puis recommencez.", "Renew the token file, then try again."),
    "PERMISSION_MISSING": (
        "Demandez la permission, ou changez de compte avec --as.",
        "Ask for the permission, or choose another with --as.",
    ),
    "RESOURCE_FOREIGN": ("Vérifiez l'identifiant et --tenant.", "Check the id and --tenant."),
    "SITE_UNKNOWN": (
        "Enregistrez le site : relais site add ; puis relais sender add.",
        "Register it: relais site add, then relais sender add.",
    ),
    "REQUEST_ID_REUSED": ("Donnez un autre --request-id.", "Give another --request-id."),
    "ETAG_MISMATCH": ("Relisez la situation avec relais held, puis décidez de nouveau.", "Look again with relais held, then decide again."),
    "STATE_CONFLICT": ("Voyez où en est le document : relais timeline ID.", "See where it is: relais timeline ID."),
    "OUTCOME_UNKNOWN": ("Relancez la même commande : rien ne sera fait deux fois.", "Run the same command again: nothing is done twice."),
}


class Voice:
    """Speaks to a person at a terminal, or to the next program in a pipe."""

    def __init__(self, kind: OutputKind, width: int | None = None) -> None:
        self.kind = kind
        knows_width = sys.stdout.isatty() or "COLUMNS" in os.environ
        columns = width or (None if knows_width else FILE_COLUMNS)
        self.out = Console(width=columns, highlight=False, soft_wrap=kind is OutputKind.JSON)
        self.err = Console(stderr=True, width=width, highlight=False)

    def say(self, french: str, english: str) -> None:
        """A sentence beside the results."""
        self.err.print(f"{escape(french)}  [dim]{escape(english)}[/dim]")

    def record(self, thing: object) -> None:
        """One result as a JSON line; nothing in a table's world, where `table` shows them all."""
        if self.kind is OutputKind.JSON:
            self.out.out(msgspec.json.encode(thing, enc_hook=_encode).decode())

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[object]], title: str | None = None) -> None:
        """Results as a table; nothing in JSON's world."""
        if self.kind is OutputKind.TABLE:
            shaped = [Column(name, no_wrap=number == 0 and name in _COPIED, overflow="fold") for number, name in enumerate(columns)]
            table = Table(*shaped, title=title, title_justify="left", header_style="bold", box=None, pad_edge=False)
            for row in rows:
                table.add_row(*(cell(value) for value in row))
            self.out.print(table)

    def error(self, error: Exception) -> None:
        """Why it did not work and what to do next. Never a value that was sent."""
        if isinstance(error, UsageError):
            self.say(error.french, error.english)
        elif isinstance(error, SettingsError):
            self.say(f"Configuration : {error}", f"Settings: {error}")
        elif isinstance(error, ClientError):
            self._client_error(error)

    def _client_error(self, error: ClientError) -> None:
        explanation = error.explanation
        french = explanation.localized or "La plateforme n'a pas répondu." if isinstance(error, Unavailable) else explanation.localized
        label = error.reason or explanation.code
        self.err.print(f"[bold red]{escape(label)}[/bold red] {escape(french)}  [dim]{escape(explanation.message)}[/dim]")
        for violation in error.violations:
            self.err.print(f"  [bold]{escape(violation.field)}[/bold] {escape(violation.description)}")
        if error.reason in _NEXT:
            self.say(*(f"→ {sentence}" for sentence in _NEXT[error.reason]))
        elif isinstance(error, Overloaded | Unavailable):
            seconds = error.retry_after_seconds
            self.say(
                "→ Réessayez" + (f" dans {seconds:g} s." if seconds else " plus tard."),
                "→ Try again" + (f" in {seconds:g} s." if seconds else " later."),
            )


def cell(value: object) -> str:
    """A value as a table shows it."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.astimezone().strftime("%Y-%m-%d %H:%M:%S")
    if isinstance(value, bool):
        return "oui / yes" if value else "non / no"
    return escape(str(value))


def _encode(value: object) -> object:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    raise TypeError(f"{type(value).__name__} has no JSON form")
