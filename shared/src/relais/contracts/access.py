"""Facts about access, the same in every log: every denial, and every read of a document or of sealed data (SAFETY 26)."""

from relais.contracts.fact import Fact, fact


@fact("access.denied.v1", announced=False)
class AccessDenied(Fact, frozen=True, kw_only=True):
    """A call was refused. `code` is the ErrorInfo reason, `credential` the SHA-256 of the certificate or the token's subject, if any."""

    method: str
    code: str
    credential: str = ""
    count: int = 1


@fact("access.document_read.v1", announced=False)
class DocumentRead(Fact, frozen=True, kw_only=True):
    """Somebody read documents' journeys, facts or sealed data. The envelope's actor says who, `reason` why when one is required."""

    method: str
    documents: tuple[str, ...] = ()
    revealed: bool = False
    reason: str = ""
