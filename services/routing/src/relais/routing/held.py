"""The rows that list what waits for a person, written with the facts that say so, in the same transaction."""

from collections.abc import Iterator

from relais.contracts.fact import Fact
from relais.contracts.routing import DocumentHeld, DocumentReleased, RejectionNoted, RouteParked
from relais.routing.law import rules

Row = dict[str, object]


def held_rows(tenant: str, at: str, fact: Fact) -> Iterator[Row]:
    """What one fact adds to or takes from the list; `at` is an RFC 3339 time. What is held for its identity is listed at identity."""
    match fact:
        case DocumentHeld() if rules.IDENTITY not in fact.rules:
            yield {
                "op": "held",
                "tenant": tenant,
                "document": fact.submission.document,
                "request": fact.submission.request,
                "site": fact.submission.site,
                "type_code": fact.submission.type_code,
                "reasons": [reason.value for reason in fact.reasons],
                "rules": list(fact.rules),
                "held_at": at,
            }
        case RouteParked():
            yield {
                "op": "held",
                "tenant": tenant,
                "document": fact.document,
                "request": "",
                "site": "",
                "type_code": "",
                "reasons": [fact.reason.value],
                "rules": [],
                "held_at": at,
            }
        case DocumentReleased():
            yield closed_row(tenant, fact.document, fact.request)
        case RejectionNoted():
            yield closed_row(tenant, fact.document, None)
        case _:
            return


def closed_row(tenant: str, document: str, request: str | None) -> Row:
    """Take a request off the list, or with None the whole document."""
    return {"op": "closed", "tenant": tenant, "document": document, "request": request}
