"""The types of document the generator knows, with the template of their structured model (ASS_A11) and a title."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import msgspec

from relais.contracts.header import Code, Identifier

_LOINC: Final = "2.16.840.1.113883.6.1"


class DocumentType(msgspec.Struct, frozen=True, kw_only=True):
    """One typeCode of JDV_J07; `model` is the template of its N3 form, absent where the framework has none."""

    code: Code
    title: str
    model: Identifier | None = None


def _type(code: str, display: str, title: str, model: str = "", version: str = "") -> tuple[str, DocumentType]:
    identifier = Identifier(root=model, extension=version) if model else None
    return code, DocumentType(code=Code(code=code, system=_LOINC, display=display), title=title, model=identifier)


NOT_FOR_THE_DMP: Final = "29274-8"
"""In JDV_J07 but not in JDV_J66: such a document may travel, though never to the DMP."""

DOCUMENT_TYPES: Final[Mapping[str, DocumentType]] = MappingProxyType(
    dict(
        (
            _type("11502-2", "CR d'examens biologiques", "Compte rendu de biologie médicale", "1.2.250.1.213.1.1.1.55", "2024.01"),
            _type("18748-4", "CR d'imagerie médicale", "Compte rendu d'imagerie", "1.2.250.1.213.1.1.1.45", "2024.01"),
            _type(
                "11490-0",
                "Lettre de liaison à la sortie d'un établissement de soins",
                "Lettre de liaison à la sortie",
                "1.2.250.1.213.1.1.1.29",
                "2022.01",
            ),
            _type("34112-3", "CR hospitalier (séjour)", "Compte rendu d'hospitalisation"),
            _type("57833-6", "Prescription de produits de santé", "Prescription de médicaments", "1.2.250.1.213.1.1.1.39", "2024.01"),
            _type("11488-4", "CR ou fiche de consultation ou de visite", "Compte rendu de consultation"),
            _type(NOT_FOR_THE_DMP, "Mesures de signes vitaux", "Relevé de signes vitaux"),
        )
    )
)
