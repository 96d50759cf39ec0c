"""The corpus as a sending system would submit it: a hospital knows its patients; here the header says who they are."""

import os
from collections.abc import Iterator
from pathlib import Path

from relais.client.document_records import Submission
from relais.contracts.header import HeaderExtract, Identifier, PersonName
from relais.contracts.submission import DeclaredIdentity, InsStatus, Opposition, Professional, Recipient, RecipientKind
from relais.demo.cast import EVERYWHERE, SITES, Parcel, request_id
from relais.ingestion.cda import read_header

CORPUS_HERE = Path("..") / "shared" / "corpus"
_INS_AUTHORITIES = tuple(f"1.2.250.1.213.1.4.{number}" for number in (8, 9, 10, 11))
_DOCTOR = Recipient(kind=RecipientKind.PROFESSIONAL, address="destinataire@essai.mssante.fr")


def corpus_folder() -> Path | None:
    """The folder `CORPUS_DIR` names, else the usual one beside the project; None where there is no corpus."""
    folder = Path(os.environ.get("CORPUS_DIR") or CORPUS_HERE)
    return folder if (folder / "cda").is_dir() else None


def corpus_parcels(folder: Path) -> Iterator[Parcel]:
    """Every CDA of the corpus, by file name. Their ids are their own, so a second run repeats the first."""
    for path in sorted((folder / "cda").glob("*.xml")):
        body = path.read_bytes()
        header = read_header(body)
        author = header.authors[0] if header.authors else None
        submission = Submission(
            request_id=request_id(f"corpus {path.name}"),
            site=SITES[0],
            patient=identity_of(header),
            flags=EVERYWHERE,
            opposition=Opposition.NO,
            professional=Professional(identifier=(author.identifier.extension if author else "") or "inconnu"),
            recipients=(_DOCTOR,),
        )
        yield Parcel(name=path.name, submission=submission, body=body)


def identity_of(header: HeaderExtract) -> DeclaredIdentity:
    """The identity that a header gives its patient, declared as qualified. No local id: the corpus shares one between patients."""
    ins = next((found for found in header.patient_ids if found.root in _INS_AUTHORITIES), Identifier())
    return DeclaredIdentity(
        ins=ins.extension,
        ins_oid=ins.root,
        ins_status=InsStatus.QUALIFIEE,
        birth_family_name=_of_birth(header.patient_families),
        first_birth_given_name=_of_birth(header.patient_givens),
        given_names=next((name.value for name in header.patient_givens if not name.qualifier), ""),
        sex=header.patient_sex,
        birth_date=header.patient_birth_time[:8],
        birth_place=header.patient_birth_place,
    )


def _of_birth(names: tuple[PersonName, ...]) -> str:
    return next((name.value for name in names if name.qualifier == "BR"), names[0].value if names else "")
