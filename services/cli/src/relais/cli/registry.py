"""Who may send: tenants, groups, sites, senders, credentials. Each is one command, in force at once on every replica."""

import hashlib
import ssl
from pathlib import Path
from typing import Annotated

import typer

from relais.cli.arguments import ReasonOption
from relais.cli.exits import UsageError
from relais.cli.session import Session, reason_given, session_of
from relais.client.client import RelaisClient
from relais.client.registry import Credential, Group, Sender, Site, Tenant, permissions

tenant = typer.Typer(no_args_is_help=True, help="Les organisations. / Tenants.")
group = typer.Typer(no_args_is_help=True, help="Les groupes de sites. / Groups of sites.")
site = typer.Typer(no_args_is_help=True, help="Les sites. / Sites.")
sender = typer.Typer(no_args_is_help=True, help="Les systèmes émetteurs. / Sending systems.")
credential = typer.Typer(no_args_is_help=True, help="Les comptes : certificats et jetons. / Credentials: certificates and tokens.")

Display = Annotated[str, typer.Option("--display", help="Nom pour les personnes. / Name for people.")]
Everything = Tenant | Group | Site | Sender | Credential


@tenant.command("add")
def tenant_add(ctx: typer.Context, name: str, display: Display = "") -> None:
    """Enregistre une organisation. / Registers a tenant."""

    async def work(session: Session, client: RelaisClient) -> None:
        _show(session, [await client.registry.register_tenant(Tenant(tenant=name, display=display))])

    session_of(ctx).with_client(work, needs_tenant=False)


@tenant.command("list")
def tenant_list(ctx: typer.Context) -> None:
    """Liste les organisations. / Lists tenants."""

    async def work(session: Session, client: RelaisClient) -> None:
        _show(session, await client.registry.tenants())

    session_of(ctx).with_client(work, needs_tenant=False)


@group.command("add")
def group_add(ctx: typer.Context, name: str, display: Display = "") -> None:
    """Enregistre un groupe. / Registers a group."""

    async def work(session: Session, client: RelaisClient) -> None:
        _show(session, [await client.registry.register_group(Group(group=name, display=display))])

    session_of(ctx).with_client(work)


@group.command("list")
def group_list(ctx: typer.Context) -> None:
    """Liste les groupes. / Lists groups."""

    async def work(session: Session, client: RelaisClient) -> None:
        _show(session, await client.registry.groups())

    session_of(ctx).with_client(work)


@site.command("add")
def site_add(
    ctx: typer.Context,
    name: str,
    display: Display = "",
    of_group: Annotated[str, typer.Option("--group")] = "",
    finess_ej: Annotated[str, typer.Option("--finess-ej", help="Entité juridique, 9 chiffres. / Legal entity.")] = "",
    finess_eg: Annotated[str, typer.Option("--finess-eg", help="Entité géographique, 9 chiffres. / Site.")] = "",
    zone: Annotated[str, typer.Option("--zone", help="Fuseau horaire. / Time zone.")] = "Europe/Paris",
) -> None:
    """Enregistre un site, sans rien redémarrer. / Registers a site, no restart."""

    async def work(session: Session, client: RelaisClient) -> None:
        registered = await client.registry.register_site(
            Site(site=name, display=display, group=of_group, finess_ej=finess_ej, finess_eg=finess_eg, zone=zone)
        )
        _show(session, [registered])
        session.voice.say(
            f"→ Pour qu'un système envoie pour lui : relais sender add NOM --site {name}",
            "→ To let a system send for it: relais sender add.",
        )

    session_of(ctx).with_client(work)


@site.command("list")
def site_list(ctx: typer.Context) -> None:
    """Liste les sites. / Lists sites."""

    async def work(session: Session, client: RelaisClient) -> None:
        _show(session, await client.registry.sites())

    session_of(ctx).with_client(work)


@sender.command("add")
def sender_add(
    ctx: typer.Context,
    name: str,
    sites: Annotated[list[str], typer.Option("--site", help="Tous ses sites, un --site chacun. / All its sites, one --site each.")],
    display: Display = "",
) -> None:
    """Enregistre un système émetteur et tous ses sites. / Registers a sending system and all its sites."""

    async def work(session: Session, client: RelaisClient) -> None:
        _show(session, [await client.registry.register_sender(Sender(sender=name, sites=tuple(sites), display=display))])
        session.voice.say(
            f"→ Donnez-lui un compte : relais credential add --certificate FICHIER --sender {name} --permission DOCUMENT_SUBMIT",
            "→ Give it a credential: relais credential add.",
        )

    session_of(ctx).with_client(work)


@sender.command("list")
def sender_list(ctx: typer.Context) -> None:
    """Liste les systèmes émetteurs. / Lists senders."""

    async def work(session: Session, client: RelaisClient) -> None:
        _show(session, await client.registry.senders())

    session_of(ctx).with_client(work)


@credential.command("add")
def credential_add(
    ctx: typer.Context,
    granted: Annotated[list[str], typer.Option("--permission", help=f"Un --permission chacune. / One each: {', '.join(permissions())}.")],
    certificate: Annotated[Path | None, typer.Option("--certificate", help="Certificat client, PEM.", exists=True, dir_okay=False)] = None,
    token: Annotated[str, typer.Option("--token", help="ÉMETTEUR:SUJET du jeton. / ISSUER:SUBJECT of the token.")] = "",
    of_sender: Annotated[str, typer.Option("--sender", help="Vide pour une personne ou un outil. / Empty for a person or a tool.")] = "",
    display: Display = "",
) -> None:
    """Enregistre un compte et ses permissions. / Registers a credential and its permissions."""

    async def work(session: Session, client: RelaisClient) -> None:
        unknown = [each for each in granted if each.upper() not in permissions()]
        if unknown:
            raise UsageError(
                f"Permission inconnue : {', '.join(unknown)}. Connues : {', '.join(permissions())}.", "There is no such permission."
            )
        registered = Credential(
            credential=credential_id(certificate, token),
            permissions=tuple(each.upper() for each in granted),
            sender=of_sender,
            display=display,
        )
        _show(session, [await client.registry.register_credential(registered)])

    session_of(ctx).with_client(work)


@credential.command("list")
def credential_list(ctx: typer.Context) -> None:
    """Liste les comptes. / Lists credentials."""

    async def work(session: Session, client: RelaisClient) -> None:
        _show(session, await client.registry.credentials())

    session_of(ctx).with_client(work)


@credential.command("revoke")
def credential_revoke(ctx: typer.Context, name: str, reason: ReasonOption = "") -> None:
    """Retire un compte, partout et tout de suite. / Takes a credential away, everywhere and at once."""

    async def work(session: Session, client: RelaisClient) -> None:
        _show(session, [await client.registry.revoke_credential(name, reason_given(reason))])

    session_of(ctx).with_client(work)


def credential_id(certificate: Path | None, token: str) -> str:
    """How the registry names a credential. Raises `UsageError` when neither or both are given, or the file is no certificate."""
    if (certificate is None) == (not token):
        raise UsageError("Donnez --certificate FICHIER ou --token ÉMETTEUR:SUJET.", "Give --certificate FILE or --token ISSUER:SUBJECT.")
    if certificate is None:
        return f"jwt:{token}"
    try:
        der = ssl.PEM_cert_to_DER_cert(certificate.read_text("ascii").strip())
    except (ValueError, OSError):
        raise UsageError(f"{certificate} n'est pas un certificat PEM.", f"{certificate} is no PEM certificate.") from None
    return f"x509:{hashlib.sha256(der).hexdigest()}"


def _show(session: Session, things: "list[Tenant] | list[Group] | list[Site] | list[Sender] | list[Credential]") -> None:
    rows = []
    for thing in things:
        session.voice.record(thing)
        match thing:
            case Tenant():
                rows.append((thing.tenant, thing.display, ""))
            case Group():
                rows.append((thing.group, thing.display, ""))
            case Site():
                rows.append((thing.site, thing.display, f"EJ {thing.finess_ej} EG {thing.finess_eg} {thing.group} {thing.zone}"))
            case Sender():
                rows.append((thing.sender, thing.display, ", ".join(thing.sites)))
            case Credential():
                state = "révoqué / revoked · " if thing.revoked else ""
                rows.append((thing.credential, thing.display, f"{state}{thing.sender or '-'} : {', '.join(thing.permissions)}"))
    session.voice.table(("nom / name", "libellé / display", "détail / detail"), rows)
