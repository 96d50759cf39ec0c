"""The rows that list what waits for a person, written with the facts that say so, in the same transaction."""

from collections.abc import Iterator

from relais.contracts.fact import Fact
from relais.contracts.identity import IdentityHeld, IdentityParked, IdentityRejected, IdentityReleased

Row = dict[str, object]


def held_rows(tenant: str, at: str, fact: Fact) -> Iterator[Row]:
    """What one fact adds to or takes from the list; `at` is an RFC 3339 time."""
    match fact:
        case IdentityHeld():
            yield {
                "op": "held",
                "tenant": tenant,
                "document": fact.submission.document,
                "request": fact.submission.request,
                "site": fact.submission.site,
                "type_code": fact.submission.type_code,
                "reasons": [reason.value for reason in fact.reasons],
                "evidence": list(fact.evidence),
                "rules": list(fact.rules),
                "held_at": at,
            }
        case IdentityParked():
            # Which request it was, and of which site, is unknown: the fact could not be read.
            yield {
                "op": "held",
                "tenant": tenant,
                "document": fact.document,
                "request": "",
                "site": "",
                "type_code": "",
                "reasons": [fact.reason.value],
                "evidence": [f"{fact.log}/{fact.position}/{fact.tag}"],
                "rules": [],
                "held_at": at,
            }
        case IdentityReleased():
            yield _closed(tenant, fact.submission.document, fact.submission.request)
        case IdentityRejected():
            yield _closed(tenant, fact.document, fact.request)
        case _:
            return


def _closed(tenant: str, document: str, request: str) -> Row:
    return {"op": "closed", "tenant": tenant, "document": document, "request": request}
