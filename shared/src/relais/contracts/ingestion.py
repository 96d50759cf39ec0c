"""Facts of the ingestion log: what was received, exactly as it was sent."""

from relais.contracts.fact import Fact, fact
from relais.contracts.submission import Submission


@fact("ingestion.document_received.v1")
class DocumentReceived(Fact, frozen=True, kw_only=True):
    """A document was taken in and is durable. `fingerprint` is the HMAC (tenant key) that decides what a repeat is.

    `content` is the HMAC of the bytes alone: it tells the same document under another request from a reused document id.
    """

    submission: Submission
    fingerprint: bytes
    content: bytes


@fact("ingestion.distribution_requested.v1")
class DistributionRequested(Fact, frozen=True, kw_only=True):
    """The same document and bytes were sent again with other recipients or flags: a new request on the same document."""

    submission: Submission
    fingerprint: bytes
