"""Why a document is not taken in.

    DocumentRefused(Exception)   the bytes are not a CDA R2 document this platform can read without doubt
    TimestampMalformed(ValueError)   an HL7 TS that names no instant (`relais.ingestion.cda.timestamp`)

A refusal carries a code and, where one is known, the place in the document as a path of our own vocabulary. It never
carries a value, nor a name, read from the document: these travel into logs, traces and error details.
"""

from enum import StrEnum


class RefusalCode(StrEnum):
    """What was wrong, one code per thing a sender can do about it."""

    NOT_XML = "NOT_XML"
    TRUNCATED = "TRUNCATED"
    WRONG_ENCODING = "WRONG_ENCODING"
    DTD_FORBIDDEN = "DTD_FORBIDDEN"
    TOO_LARGE = "TOO_LARGE"
    TOO_DEEP = "TOO_DEEP"
    HEADER_TOO_LARGE = "HEADER_TOO_LARGE"
    FIELD_TOO_LONG = "FIELD_TOO_LONG"
    FIELD_MALFORMED = "FIELD_MALFORMED"
    WRONG_ROOT = "WRONG_ROOT"
    ELEMENT_REPEATED = "ELEMENT_REPEATED"
    MULTIPLE_RECORD_TARGETS = "MULTIPLE_RECORD_TARGETS"
    PATIENT_MISSING = "PATIENT_MISSING"
    DOCUMENT_ID_MISSING = "DOCUMENT_ID_MISSING"
    TYPE_CODE_MISSING = "TYPE_CODE_MISSING"
    TYPE_CODE_UNKNOWN = "TYPE_CODE_UNKNOWN"
    BODY_MISSING = "BODY_MISSING"
    BAD_BASE64 = "BAD_BASE64"


class DocumentRefused(Exception):
    """The document is refused at the door (SAFETY 4); sending the same bytes again gives the same answer.

    `field` is a path such as `ClinicalDocument/recordTarget`, empty where no place can be named.
    """

    def __init__(self, code: RefusalCode, field: str = "") -> None:
        super().__init__(code, field)
        self.code = code
        self.field = field

    def __str__(self) -> str:
        return f"{self.code} at {self.field}" if self.field else str(self.code)
