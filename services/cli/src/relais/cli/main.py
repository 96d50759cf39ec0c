"""The `relais` command: what it is made of."""

import typer

from relais.cli import context, events, follow, people, policies, registry, submit
from relais.cli.arguments import ContextOption, CredentialOption, EverywhereGroup, OutputOption, TenantOption
from relais.cli.session import open_session
from relais.cli.voice import OutputKind

app = typer.Typer(
    cls=EverywhereGroup,
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,  # Locals hold what people declared about patients.
    epilog="Codes de sortie / exit codes: 0 fait/done, 1 refusé/refused, 2 usage, 3 indisponible/unavailable, 4 interdit/not allowed, "
    "5 introuvable/not found, 6 inachevé/unfinished, 7 défaut/defect.",
)


@app.callback()
def root(
    ctx: typer.Context,
    context_name: ContextOption = "",
    tenant: TenantOption = "",
    credential: CredentialOption = "",
    output: OutputOption = OutputKind.TABLE,
) -> None:
    """Porte les documents de santé, et dit où ils en sont. / Carries health documents, and says where they are."""
    ctx.obj = open_session(context_name, tenant, credential, output)


for command in (
    submit.submit,
    follow.documents,
    follow.timeline,
    follow.watch,
    people.held,
    people.evidence,
    people.release,
    people.reject,
    people.explain,
    people.deliveries,
    people.retry,
    people.abandon,
    events.events,
):
    app.command()(command)

for name, group in (
    ("tenant", registry.tenant),
    ("group", registry.group),
    ("site", registry.site),
    ("sender", registry.sender),
    ("credential", registry.credential),
    ("policy", policies.app),
    ("endpoint", people.endpoint),
    ("context", context.app),
):
    app.add_typer(group, name=name)


def main() -> None:
    """Entry point of the command."""
    app()
