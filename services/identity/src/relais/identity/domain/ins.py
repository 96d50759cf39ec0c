"""The INS, national health identity: its form, its key, and how severe a fault is under each OID.

Matricule: 13 characters and a two-digit key. Key = 97 - (the 13 characters modulo 97); for a birth in Corsica 2A counts as 19
and 2B as 18 in places 6 and 7 (CI-SIS *Structuration minimale*; verified on public vectors). Official test data contains wrong
keys, so a fault under the test OIDs is a warning unless configured otherwise.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType
from typing import Final

from relais.contracts.header import Identifier

INS_NIR: Final = "1.2.250.1.213.1.4.8"
INS_NIA: Final = "1.2.250.1.213.1.4.9"
INS_NIR_TEST: Final = "1.2.250.1.213.1.4.10"
INS_NIR_DEMO: Final = "1.2.250.1.213.1.4.11"
INS_OIDS: Final = frozenset({INS_NIR, INS_NIA, INS_NIR_TEST, INS_NIR_DEMO})
TEST_OIDS: Final = frozenset({INS_NIR_TEST, INS_NIR_DEMO})

# Only A and B after a 2 are Corsica; the XSD of the teleservice is laxer, and nothing else can be given a key.
_MATRICULE: Final = re.compile(r"(?P<body>[0-9]{5}(?:[0-9]{2}|2[AB])[0-9]{6})(?P<key>[0-9]{2})")
_CORSICA: Final = (("2A", "19"), ("2B", "18"))
_MODULUS: Final = 97


class Severity(Enum):
    """What a fault of form or key means: an error holds the document, a warning is recorded with the verification."""

    ERROR = "error"
    WARNING = "warning"


class InsFault(Enum):
    """What can be wrong with a matricule by itself."""

    FORMAT = "format"
    KEY = "key"


DEFAULT_SEVERITIES: Final[Mapping[str, Severity]] = MappingProxyType(
    {
        INS_NIR: Severity.ERROR,
        INS_NIA: Severity.ERROR,
        INS_NIR_TEST: Severity.WARNING,
        INS_NIR_DEMO: Severity.WARNING,
    }
)


@dataclass(frozen=True, slots=True)
class InsRules:
    """The severity of a fault per OID. An OID that is not named here is treated as an error: what is unknown is not excused."""

    severities: Mapping[str, Severity] = field(default_factory=lambda: DEFAULT_SEVERITIES)

    def severity(self, oid: str) -> Severity:
        """How severe a fault under this OID is."""
        return self.severities.get(oid, Severity.ERROR)


def canonical_matricule(written: str) -> str:
    """A matricule as it is compared: without the blanks people write into it, Corsica's letter in upper case."""
    return written if written.isdigit() else "".join(written.split()).upper()


def key_of(body: str) -> str:
    """The two-digit key of the first 13 characters. Raises ValueError when they are not of an INS's form."""
    match = _MATRICULE.fullmatch(body + "00")
    if match is None:
        raise ValueError("not the first 13 characters of an INS")
    digits = body[:5] + _digits_of_department(body[5:7]) + body[7:]
    return f"{_MODULUS - int(digits) % _MODULUS:02d}"


def fault_of(matricule: str) -> InsFault | None:
    """What is wrong with a canonical matricule of 15 characters, if anything."""
    match = _MATRICULE.fullmatch(matricule)
    if match is None:
        return InsFault.FORMAT
    return None if key_of(match["body"]) == match["key"] else InsFault.KEY


def ins_of(identifiers: Iterable[Identifier]) -> tuple[Identifier, ...]:
    """The identifiers that are an INS by their root, matricules canonical; local ids and the former INS-C are not."""
    return tuple(Identifier(root=one.root, extension=canonical_matricule(one.extension)) for one in identifiers if one.root in INS_OIDS)


def _digits_of_department(department: str) -> str:
    for written, digits in _CORSICA:
        if department == written:
            return digits
    return department
