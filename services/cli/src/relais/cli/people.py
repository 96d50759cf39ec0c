"""What operators do: see what is held and decide, see why a route was taken, mend deliveries, open and close endpoints."""

from typing import Annotated

import typer

from relais.cli.arguments import FilterOption, LimitOption, ReasonOption
from relais.cli.exits import UsageError
from relais.cli.sentences import said
from relais.cli.session import Session, reason_given, session_of
from relais.client.client import RelaisClient
from relais.client.delivery import Delivery, Endpoint
from relais.client.held import HeldDocument
from relais.client.words import id_of
from relais.contracts.submission import InsStatus

HELD_MAXIMUM = 2_000
endpoint = typer.Typer(no_args_is_help=True, help="Les canaux vers les partenaires. / Endpoints of partners.")

DeliveryArgument = Annotated[str, typer.Argument(help="DOCUMENT/N°, ou le nom entier. / or the whole name.")]


def held(ctx: typer.Context, matching: FilterOption = "", limit: LimitOption = 50) -> None:
    """Liste ce qui attend une personne, et pourquoi. / Lists what waits for a person, and why."""

    async def work(session: Session, client: RelaisClient) -> None:
        found = [each async for each in client.held_by_identity.list(matching, limit=limit)]
        found += [each async for each in client.held_by_routing.list(matching, limit=limit)]
        _show_held(session, found)
        if found:
            session.voice.say(
                "→ relais evidence ID, puis relais release ID ou relais reject ID.", "→ relais evidence ID, then release or reject."
            )

    session_of(ctx).with_client(work)


def evidence(ctx: typer.Context, document: str, reason: ReasonOption = "") -> None:
    """Montre ce qui diffère : données personnelles, lecture tracée. / Shows what disagrees: personal data, and the read is recorded."""

    async def work(session: Session, client: RelaisClient) -> None:
        comparisons = await client.held_by_identity.evidence(document, reason_given(reason))
        for each in comparisons:
            session.voice.record(each)
        session.voice.table(
            ("champ / field", "message", "document", "accord / agrees"),
            [(each.field, each.declared, each.documented, each.agrees) for each in comparisons],
        )

    session_of(ctx).with_client(work)


def release(
    ctx: typer.Context,
    document: str,
    reason: ReasonOption = "",
    status: Annotated[
        InsStatus | None, typer.Option("--status", help="Statut d'identité dont on répond. / The status answered for.")
    ] = None,
) -> None:
    """Laisse partir un document retenu. / Lets a held document go on."""

    async def work(session: Session, client: RelaisClient) -> None:
        found = await _find(client, document)
        if found.by == "routing":
            decided = await client.held_by_routing.release(found.name, reason_given(reason), found.etag)
        elif status is None:
            raise UsageError(
                f"Avec quel statut ? --status {'|'.join(InsStatus)} : celui déclaré, ou plus bas.", "With which status? --status."
            )
        else:
            decided = await client.held_by_identity.release(found.name, status, reason_given(reason), found.etag)
        _show_held(session, [decided])

    session_of(ctx).with_client(work)


def reject(ctx: typer.Context, document: str, reason: ReasonOption = "") -> None:
    """Décide qu'un document retenu n'ira nulle part. / Decides that a held document goes nowhere."""

    async def work(session: Session, client: RelaisClient) -> None:
        found = await _find(client, document)
        if found.by == "routing":
            raise UsageError(
                "Ce document est retenu par le routage : il se libère, ou reste retenu.",
                "Routing holds this document: release it, or leave it.",
            )
        _show_held(session, [await client.held_by_identity.reject(found.name, reason_given(reason), found.etag)])

    session_of(ctx).with_client(work)


def explain(ctx: typer.Context, document: str) -> None:
    """Dit pourquoi un document va où il va. / Says why a document goes where it goes."""

    async def work(session: Session, client: RelaisClient) -> None:
        explained = await client.routing.explain(document)
        session.voice.record(explained)
        session.voice.table(
            ("dest.", "genre / kind", "prévu / planned", "canal / endpoint", "règle / rule", "raison / reason"),
            [
                (each.ordinal, said(each.kind), each.planned, each.endpoint, each.rule, said(each.suppress_reason))
                for each in explained.destinations
            ],
            title=f"politique / policy {explained.policy or '-'} · matrice / matrix {explained.matrix or '-'}",
        )
        for reason in explained.hold_reasons:
            session.voice.say(f"retenu : {said(reason)}", f"held by {', '.join(explained.hold_rules)}")

    session_of(ctx).with_client(work)


def deliveries(
    ctx: typer.Context,
    document: Annotated[str, typer.Argument(help="D'un seul document. / Of one document.")] = "",
    matching: FilterOption = "",
    limit: LimitOption = 50,
) -> None:
    """Liste les remises. / Lists deliveries."""

    async def work(session: Session, client: RelaisClient) -> None:
        _show_deliveries(session, [each async for each in client.deliveries.list(document or None, matching, limit=limit)])

    session_of(ctx).with_client(work)


def retry(ctx: typer.Context, delivery: DeliveryArgument, reason: ReasonOption = "") -> None:
    """Tente une remise de nouveau. / Tries a delivery again."""

    async def work(session: Session, client: RelaisClient) -> None:
        _show_deliveries(session, [await client.deliveries.retry(delivery, reason_given(reason))])

    session_of(ctx).with_client(work)


def abandon(ctx: typer.Context, delivery: DeliveryArgument, reason: ReasonOption = "") -> None:
    """Abandonne une remise. / Gives a delivery up."""

    async def work(session: Session, client: RelaisClient) -> None:
        _show_deliveries(session, [await client.deliveries.abandon(delivery, reason_given(reason))])

    session_of(ctx).with_client(work)


@endpoint.command("list")
def endpoint_list(ctx: typer.Context) -> None:
    """Liste les canaux et ce qui les attend. / Lists endpoints and what waits for them."""

    async def work(session: Session, client: RelaisClient) -> None:
        _show_endpoints(session, await client.deliveries.endpoints())

    session_of(ctx).with_client(work, needs_tenant=False)


@endpoint.command("pause")
def endpoint_pause(ctx: typer.Context, name: str, reason: ReasonOption = "") -> None:
    """Suspend un canal. / Stops calling an endpoint."""

    async def work(session: Session, client: RelaisClient) -> None:
        _show_endpoints(session, (await client.deliveries.pause(name, reason_given(reason)),))

    session_of(ctx).with_client(work, needs_tenant=False)


@endpoint.command("drain")
def endpoint_drain(ctx: typer.Context, name: str, reason: ReasonOption = "") -> None:
    """Termine ce qui est commencé, ne commence rien. / Finishes what was begun, begins nothing."""

    async def work(session: Session, client: RelaisClient) -> None:
        _show_endpoints(session, (await client.deliveries.drain(name, reason_given(reason)),))

    session_of(ctx).with_client(work, needs_tenant=False)


@endpoint.command("resume")
def endpoint_resume(ctx: typer.Context, name: str, reason: ReasonOption = "") -> None:
    """Rouvre un canal. / Calls an endpoint again."""

    async def work(session: Session, client: RelaisClient) -> None:
        _show_endpoints(session, (await client.deliveries.resume(name, reason_given(reason)),))

    session_of(ctx).with_client(work, needs_tenant=False)


async def _find(client: RelaisClient, document: str) -> HeldDocument:
    async for each in client.held_by_identity.list(limit=HELD_MAXIMUM):
        if document in (each.name, id_of(each.name)):
            return each
    async for each in client.held_by_routing.list(limit=HELD_MAXIMUM):
        if document in (each.name, id_of(each.name)):
            return each
    raise UsageError("Ce document n'est pas retenu. Voir relais held.", "This document is not held. See relais held.")


def _show_held(session: Session, found: list[HeldDocument]) -> None:
    for each in found:
        session.voice.record(each)
    session.voice.table(
        ("document", "par / by", "état / state", "site", "raison / reason", "détail / detail", "depuis / since"),
        [
            (
                id_of(each.name),
                each.by,
                said(each.state),
                each.site,
                ", ".join(map(said, each.reasons)),
                ", ".join(each.details),
                each.held_at,
            )
            for each in found
        ],
    )


def _show_deliveries(session: Session, found: list[Delivery]) -> None:
    for each in found:
        session.voice.record(each)
    session.voice.table(
        ("remise / delivery", "genre / kind", "canal / endpoint", "état / state", "essais / attempts", "détail / detail", "prochain / due"),
        [
            (
                each.name.partition("/documents/")[2].replace("/deliveries/", "/"),
                said(each.kind),
                each.endpoint,
                said(each.state),
                each.attempt_count,
                said(each.abandon_reason or each.code),
                each.due_at,
            )
            for each in found
        ],
    )


def _show_endpoints(session: Session, found: tuple[Endpoint, ...]) -> None:
    for each in found:
        session.voice.record(each)
    session.voice.table(
        ("canal / endpoint", "connecteur / connector", "état / state", "en attente / waiting", "depuis / since"),
        [(id_of(each.name), each.connector, said(each.state), each.waiting_count, each.oldest_waiting_at) for each in found],
    )
