"""What the message and the document say of the patient, side by side, for the person who must decide. Personal data."""

from collections.abc import Sequence
from dataclasses import dataclass

from relais.contracts.header import Identifier, PersonName
from relais.contracts.submission import SealedContent
from relais.identity.domain.comparison import (
    BIRTH_DATE,
    BIRTH_FAMILY_NAME,
    FIRST_BIRTH_GIVEN_NAME,
    LOCAL_ID,
    MATRICULE,
    OID,
    SEX,
    compare,
)
from relais.identity.domain.ins import INS_OIDS, ins_of

_SEPARATOR = " | "


@dataclass(frozen=True, slots=True)
class Side:
    """One field: what the message declares, what the document's header says, and whether they agree after normalisation."""

    field: str
    declared: str
    documented: str
    agrees: bool

    def __repr__(self) -> str:
        return f"Side(field={self.field!r}, agrees={self.agrees})"


def sides_of(content: SealedContent) -> tuple[Side, ...]:
    """Every compared field, and the document's date for the births; several values of one field are joined by a bar."""
    identity, header = content.identity, content.header
    comparison = compare(identity, header)
    carried = ins_of(header.patient_ids)
    locals_ = [one for one in header.patient_ids if one.root not in INS_OIDS]
    documented = {
        MATRICULE: (identity.ins, _SEPARATOR.join(one.extension for one in carried)),
        OID: (identity.ins_oid, _SEPARATOR.join(one.root for one in carried)),
        LOCAL_ID: (_local(identity.local_id_authority, identity.local_id), _SEPARATOR.join(map(str, locals_))),
        BIRTH_FAMILY_NAME: (identity.birth_family_name, _names(header.patient_families)),
        FIRST_BIRTH_GIVEN_NAME: (identity.first_birth_given_name, _names(header.patient_givens)),
        SEX: (identity.sex, header.patient_sex),
        BIRTH_DATE: (identity.birth_date, header.patient_birth_time),
        "effective_time": ("", header.effective_time),
    }
    return tuple(
        Side(name, declared, found, agrees=name not in comparison.disagreeing)
        for name, (declared, found) in documented.items()
        if declared or found
    )


def _names(parts: Sequence[PersonName]) -> str:
    return _SEPARATOR.join(f"{part.value} ({part.qualifier})" if part.qualifier else part.value for part in parts)


def _local(authority: str, local_id: str) -> str:
    return str(Identifier(root=authority, extension=local_id)) if local_id else ""
