"""One run of the command: which context, how to speak, and the way from an error to an exit code."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import stamina.instrumentation
import typer

from relais.cli.contexts import Chosen, choose
from relais.cli.exits import HANDLED, ExitCode, UsageError, exit_code
from relais.cli.voice import OutputKind, Voice
from relais.client.client import RelaisClient

Work = Callable[["Session", RelaisClient], Awaitable[ExitCode | None]]


@dataclass(frozen=True)
class Session:
    """What the options that every command understands said."""

    voice: Voice
    context: str
    tenant: str
    credential: str

    def chosen(self) -> Chosen:
        """The context of this run. Raises `UsageError`."""
        return choose(self.context, self.tenant, self.credential, os.environ, Path.cwd())

    def with_client(self, work: Work, *, needs_tenant: bool = True) -> None:
        """Do the work with a client of the chosen context and end the command as it deserves."""

        async def connected() -> ExitCode | None:
            chosen = self.chosen()
            if needs_tenant and not chosen.tenant:
                raise UsageError("Quelle organisation ? Ajoutez --tenant NOM.", "Which tenant? Add --tenant NAME.")
            async with RelaisClient(chosen.settings()) as client:
                return await work(self, client)

        self.ending(lambda: asyncio.run(connected()))

    def ending(self, work: Callable[[], ExitCode | None]) -> None:
        """Do the work and end the command: errors are said, and become exit codes."""
        try:
            code = work()
        except KeyboardInterrupt:
            self.voice.say("Interrompu. Relancez la même commande pour continuer.", "Interrupted. Run the same command to go on.")
            raise typer.Exit(ExitCode.INTERRUPTED) from None
        except HANDLED as error:
            self.voice.error(error)
            raise typer.Exit(exit_code(error)) from None
        if code:
            raise typer.Exit(code)


def open_session(context: str, tenant: str, credential: str, output: OutputKind) -> Session:
    """The session of one run; from here on, repeated calls are told to the person instead of to a log."""
    voice = Voice(output)

    def tell(details: stamina.instrumentation.RetryDetails) -> None:
        voice.say(
            f"La plateforme ne répond pas, nouvel essai dans {details.wait_for:.1f} s…",
            f"No answer from the platform, trying again in {details.wait_for:.1f} s…",
        )

    stamina.instrumentation.set_on_retry_hooks([tell])
    return Session(voice, context, tenant, credential)


def session_of(ctx: typer.Context) -> Session:
    """The session that the root of the command opened."""
    session = ctx.obj
    if not isinstance(session, Session):
        raise TypeError("the root of the command opens the session")
    return session


def reason_given(reason: str) -> str:
    """The reason, which whoever decides must give. Raises `UsageError`."""
    if not reason.strip():
        raise UsageError('Dites pourquoi : --reason "…".', 'Say why: --reason "…".')
    return reason.strip()
