"""The MSSanté matrix of the volet *Transmission de documents CDA en HL7v2*: which flags send a mail to whom, and no others.

The volet calls its table exhaustive: any other combination is an error. It changed on 2026-04-21 without changing its version, so
each text is named by its date: row 2 then stopped allowing MASQUE_PS = Y, rows 1 and 2 began to allow CONNEXION_SECRETE = Y.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType
from typing import Final

from relais.contracts.submission import Flags

STRICT: Final = "strict"
LENIENT: Final = "lenient"
MODES: Final = frozenset({STRICT, LENIENT})


class Mail(Enum):
    """To whom a row of the matrix sends."""

    PROFESSIONAL = "professional"
    PATIENT = "patient"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row: the value each flag must have (None: either), and who gets the mail. The ACK flags are in no row."""

    id: str
    mails: frozenset[Mail]
    masque_ps: bool | None
    invisible_patient: bool | None
    invisible_rep_legaux: bool | None
    connexion_secrete: bool | None
    destdmp: bool | None
    destmssanteps: bool
    destmssantepat: bool

    def fits(self, flags: Flags) -> bool:
        """Whether these flags are the row's."""
        wanted = (
            (self.masque_ps, flags.masque_ps),
            (self.invisible_patient, flags.invisible_patient),
            (self.invisible_rep_legaux, flags.invisible_rep_legaux),
            (self.connexion_secrete, flags.connexion_secrete),
            (self.destdmp, flags.destdmp),
            (self.destmssanteps, flags.destmssanteps),
            (self.destmssantepat, flags.destmssantepat),
        )
        return all(value is None or value is flag for value, flag in wanted)


_BOTH: Final = frozenset({Mail.PROFESSIONAL, Mail.PATIENT})
_PROFESSIONAL: Final = frozenset({Mail.PROFESSIONAL})
_PATIENT: Final = frozenset({Mail.PATIENT})


def _rows(*, row_2_masque_ps: bool | None, rows_1_2_connexion_secrete: bool | None) -> tuple[Row, ...]:
    return (
        Row(
            id="matrix.row_1",
            mails=_BOTH,
            masque_ps=False,
            invisible_patient=False,
            invisible_rep_legaux=False,
            connexion_secrete=rows_1_2_connexion_secrete,
            destdmp=None,
            destmssanteps=True,
            destmssantepat=True,
        ),
        Row(
            id="matrix.row_2",
            mails=_PROFESSIONAL,
            masque_ps=row_2_masque_ps,
            invisible_patient=True,
            invisible_rep_legaux=False,
            connexion_secrete=rows_1_2_connexion_secrete,
            destdmp=None,
            destmssanteps=True,
            destmssantepat=False,
        ),
        Row(
            id="matrix.row_3",
            mails=_PATIENT,
            masque_ps=None,
            invisible_patient=False,
            invisible_rep_legaux=None,
            connexion_secrete=False,
            destdmp=False,
            destmssanteps=False,
            destmssantepat=True,
        ),
    )


NEWEST: Final = "2026-04-21"
FORMER: Final = "2024-02-29"

MATRICES: Final[Mapping[str, tuple[Row, ...]]] = MappingProxyType(
    {
        FORMER: _rows(row_2_masque_ps=None, rows_1_2_connexion_secrete=False),
        NEWEST: _rows(row_2_masque_ps=False, rows_1_2_connexion_secrete=None),
    }
)
"""By date: 2.1 as validated on 2024-02-29, and the text of 2026-04-21."""

LENIENT_ROW: Final = "matrix.lenient"


@dataclass(frozen=True, slots=True)
class Reading:
    """How the matrix reads a set of flags: the row, and who gets a mail. `known` is False for a combination that is in no row."""

    row: str
    mails: frozenset[Mail]
    known: bool


NO_MAIL: Final = Reading("", frozenset(), known=True)
UNKNOWN: Final = Reading("", frozenset(), known=False)


def read_matrix(flags: Flags, matrix: str, mode: str) -> Reading:
    """Who gets a mail. Flags that ask for none are outside the matrix and legal; `matrix` must be a key of MATRICES.

    Lenient only adds mail to named professionals, when MASQUE_PS = N and DESTMSSANTEPAT = N, never a patient route (SAFETY 14).
    """
    if not (flags.destmssanteps or flags.destmssantepat):
        return NO_MAIL
    for row in MATRICES[matrix]:
        if row.fits(flags):
            return Reading(row.id, row.mails, known=True)
    if mode == LENIENT and flags.destmssanteps and not flags.destmssantepat and not flags.masque_ps:
        return Reading(LENIENT_ROW, _PROFESSIONAL, known=True)
    return UNKNOWN
