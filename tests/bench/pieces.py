"""`python -m tests.bench.pieces`: what the pieces of the hot path take by themselves, beside the yardstick: the budget's small print.

Each piece is done to 40 documents, PDF and structured by turns, several times over; the fastest round counts, because whatever else the
machine does can only add to it. Nothing here is on the network or in a database: those are the floors of the whole run.
"""

import hashlib
import os
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Final, TypeVar
from uuid import uuid4

from rich.console import Console
from rich.table import Table

from relais.api.ingestion.v1 import ingestion_pb2 as pb
from relais.contracts import decode, encode
from relais.contracts.ingestion import DocumentReceived
from relais.eventlog.call import append_arguments
from relais.ingestion.api.submission import Sender, read_submission
from relais.ingestion.api.views import receipt_message
from relais.ingestion.cda.reader import read_header
from relais.ingestion.domain import DOCUMENT
from relais.ingestion.intake import Receipt
from relais.ingestion.request import TenantKeys, check
from relais.ingestion.sealing import BodySource, seal_submission
from relais.vault.seal import document_key, open_body, open_content
from relais.vault.vault import SubjectKey
from tests.bench.documents import SITE, TENANT, templates
from tests.bench.sampling import yardstick_ms

DOCUMENTS: Final = 40
ROUNDS: Final = 10
SENDER: Final = Sender(TENANT, "his", "certificate:his", lambda site: site == SITE)

Item = TypeVar("Item")


def microseconds(piece: Callable[[Item], object], items: Sequence[Item]) -> float:
    """CPU microseconds of one `piece`, in the fastest of ROUNDS rounds over all items."""
    best = float("inf")
    for _ in range(ROUNDS):
        began = time.process_time()
        for item in items:
            piece(item)
        best = min(best, time.process_time() - began)
    return best * 1e6 / len(items)


def intake() -> dict[str, float]:
    """The pieces from a message to the arguments of its append, and what later services do with the fact."""
    now = datetime.now(UTC)
    keys = TenantKeys(document_id=os.urandom(32), fingerprint=os.urandom(32))
    subject = SubjectKey(TENANT, uuid4(), os.urandom(32))
    messages = [made.message(1, number) for number, made in enumerate(templates(DOCUMENTS))]
    found = {"parse the message": microseconds(pb.SubmitDocumentsRequest.FromString, messages)}
    parsed = [pb.SubmitDocumentsRequest.FromString(message).request for message in messages]
    found["read the submission"] = microseconds(lambda one: read_submission(one.submission, SENDER), parsed)
    bodies = [one.document for one in parsed]
    found["SHA-256 of the document"] = microseconds(lambda body: hashlib.sha256(body).digest(), bodies)
    found["header, PDF (N1)"] = microseconds(read_header, bodies[1::2])
    found["header, structured (N3)"] = microseconds(read_header, bodies[0::2])
    checked = [
        check(read_submission(one.submission, SENDER), read_header(one.document), hashlib.sha256(one.document).digest(), keys)
        for one in parsed
    ]
    pairs = list(zip(checked, bodies, strict=True))
    for kind, some in (("PDF (N1)", pairs[1::2]), ("structured (N3)", pairs[0::2])):
        found[f"seal content and body, make the fact, {kind}"] = microseconds(
            lambda pair: seal_submission(pair[0], DOCUMENT.initial, subject, BodySource(body=pair[1]), now), some
        )
    appends = [seal_submission(one, DOCUMENT.initial, subject, BodySource(body=body), now).append for one, body in pairs]
    found["arguments of the append"] = microseconds(lambda _: append_arguments(appends, [], all_or_nothing=False), [None]) / DOCUMENTS
    found["receipt"] = microseconds(lambda one: receipt_message(TENANT, Receipt(one.document, one.sha256, 1, now)), checked)
    payloads = [append.events[0].payload for append in appends]
    found["decode a fact"] = microseconds(lambda payload: decode(DocumentReceived.TAG, payload), payloads)
    facts = [fact for payload in payloads if isinstance(fact := decode(DocumentReceived.TAG, payload), DocumentReceived)]
    found["encode a fact"] = microseconds(encode, facts)
    opening = [(document_key(subject, fact.submission.document), fact.submission) for fact in facts]
    found["open the content of a fact"] = microseconds(lambda pair: open_content(pair[0], pair[1].document, pair[1].sealed), opening)
    sealed = [(key, append.chunks, one.body.deflated) for (key, one), append in zip(opening, appends, strict=True)]
    for kind, three in (("PDF (N1)", sealed[1::2]), ("structured (N3)", sealed[0::2])):
        found[f"open the body, {kind}"] = microseconds(lambda one: open_body(one[0], one[1], deflated=one[2]), three)
    return found


def main() -> None:
    """Measure and tell."""
    table = Table("piece", "CPU ms", title=f"yardstick {min(yardstick_ms() for _ in range(ROUNDS)):.2f} ms", box=None)
    for name, taken in intake().items():
        table.add_row(name, f"{taken / 1000:.3f}")
    Console().print(table)


if __name__ == "__main__":
    main()
