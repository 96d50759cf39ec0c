"""The identity that the sender declares, compared with the one the document carries (SAFETY 9).

The document's patient is `recordTarget/patientRole` and nothing else (SAFETY 2), which is all a `HeaderExtract` holds. A trait
that one side states and the other does not is a disagreement: nothing shows that both speak of the same person.
"""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from relais.contracts.header import HeaderExtract, Identifier, PersonName
from relais.contracts.submission import DeclaredIdentity
from relais.identity.domain.ins import canonical_matricule, ins_of

MATRICULE: Final = "matricule"
OID: Final = "oid"
LOCAL_ID: Final = "local_id"
BIRTH_FAMILY_NAME: Final = "birth_family_name"
FIRST_BIRTH_GIVEN_NAME: Final = "first_birth_given_name"
SEX: Final = "sex"
BIRTH_DATE: Final = "birth_date"

_BIRTH: Final = "BR"
_DATE_DIGITS: Final = 8
_UNKNOWN_SEXES: Final = frozenset({"UN", "U", "O", "A", "N", "I"})
_LETTERS: Final = str.maketrans({"ø": "o", "đ": "d", "ł": "l", "ħ": "h", "æ": "ae", "œ": "oe", "ð": "d", "þ": "th", "ı": "i"})
_NOT_WORD: Final = re.compile(r"[\W_]+")


@dataclass(frozen=True, slots=True)
class Comparison:
    """The traits that could be compared, and those of them that disagree; names of fields, never values."""

    compared: tuple[str, ...]
    disagreeing: tuple[str, ...]


def normalise_name(written: str) -> str:
    """A name as it is compared: no diacritics, no case, words separated by one blank; hyphen, apostrophe and blanks are one.

    Compatibility forms (full width, ligatures) are folded; letters of other alphabets are kept, so a look-alike is another name.
    Idempotent. A name of signs only becomes empty, and counts as absent.
    """
    if written.isascii():
        return _NOT_WORD.sub(" ", written.lower()).strip()
    # Folding the case can make new sequences to decompose, and decomposing new capitals; twice each is stable (UAX #15, D145).
    folded = written
    for _ in range(2):
        folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", folded).casefold())
    visible = "".join(sign for sign in folded if unicodedata.category(sign)[0] != "M" and unicodedata.category(sign) != "Cf")
    return _NOT_WORD.sub(" ", visible.translate(_LETTERS)).strip()


def normalise_sex(written: str) -> str:
    """M, F, or UN for every code of *undetermined*; any other code stays as it is, in upper case, and agrees only with itself."""
    code = written.strip().upper()
    return "UN" if code in _UNKNOWN_SEXES else code


def normalise_date(written: str) -> str:
    """The day of an HL7 TS, `YYYYMMDD`, or less where less is known: the time of day of a birth is not compared."""
    return "".join(written.split())[:_DATE_DIGITS]


def compare(identity: DeclaredIdentity, header: HeaderExtract) -> Comparison:
    """Compare every trait. Where the document carries no INS and none is declared, there is none to compare."""
    verdicts = {
        **_compare_ins(identity, ins_of(header.patient_ids)),
        **_compare_local_id(identity, header.patient_ids),
        BIRTH_FAMILY_NAME: _same_family(identity.birth_family_name, header.patient_families),
        FIRST_BIRTH_GIVEN_NAME: _same_given(identity.first_birth_given_name, header.patient_givens),
        SEX: _same(normalise_sex(identity.sex), normalise_sex(header.patient_sex)),
        BIRTH_DATE: _same(normalise_date(identity.birth_date), normalise_date(header.patient_birth_time)),
    }
    # A person without any name on either side cannot be recognised at all.
    if verdicts[BIRTH_FAMILY_NAME] is None:
        verdicts[BIRTH_FAMILY_NAME] = False
    return Comparison(
        compared=tuple(name for name, same in verdicts.items() if same is not None),
        disagreeing=tuple(name for name, same in verdicts.items() if same is False),
    )


def _compare_ins(identity: DeclaredIdentity, found: Sequence[Identifier]) -> dict[str, bool | None]:
    """A document's INS that nobody declared is not a disagreement here: it is an INS whose status is not qualified (SAFETY 10)."""
    declared = canonical_matricule(identity.ins)
    if not declared:
        return {}
    if not found:
        return {MATRICULE: False}
    return {
        MATRICULE: all(one.extension == declared for one in found),
        OID: all(one.root == identity.ins_oid for one in found),
    }


def _compare_local_id(identity: DeclaredIdentity, found: Sequence[Identifier]) -> dict[str, bool | None]:
    """Where both name the same authority, they must name the same person there."""
    same_authority = [one for one in found if identity.local_id_authority and one.root == identity.local_id_authority]
    if not identity.local_id or not same_authority:
        return {}
    return {LOCAL_ID: any(one.extension == identity.local_id for one in same_authority)}


def _same(declared: str, found: str) -> bool | None:
    if not declared and not found:
        return None
    return declared == found


def _same_family(declared: str, found: Sequence[PersonName]) -> bool | None:
    """Every name marked as birth name must agree. Documents without the mark exist: any family name may be the birth name there."""
    name = normalise_name(declared)
    marked = [normalise_name(part.value) for part in found if part.qualifier == _BIRTH]
    if marked:
        return all(bool(one) and one == name for one in marked)
    others = [normalise_name(part.value) for part in found]
    if not name and not any(others):
        return None
    return bool(name) and name in others


def _same_given(declared: str, found: Sequence[PersonName]) -> bool | None:
    """As for the family name; an unmarked list of given names begins with the first birth given name."""
    name = normalise_name(declared)
    marked = [normalise_name(part.value) for part in found if part.qualifier == _BIRTH]
    if marked:
        return all(bool(one) and one == name for one in marked)
    lists = [normalise_name(part.value) for part in found if not part.qualifier] or [normalise_name(part.value) for part in found]
    if not name and not any(lists):
        return None
    return bool(name) and any(f"{one} ".startswith(f"{name} ") for one in lists)
