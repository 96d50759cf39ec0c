"""The rules of identity: each reason to hold has an id that facts and explanations name, its sentence, and its source."""

from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from relais.contracts.reasons import HoldReason


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: a stable id, what it says in French and in English, and where it comes from."""

    id: str
    french: str
    english: str
    source: str


RULES: Final = MappingProxyType(
    {
        HoldReason.INS_FORMAT_WRONG: Rule(
            "identity.ins_format",
            "Un matricule INS compte 13 caractères et une clé de deux chiffres, sous un OID de l'INS.",
            "An INS matricule has 13 characters and a two-digit key, under an OID of the INS.",
            "CI-SIS Structuration minimale, patientRole/id",
        ),
        HoldReason.INS_KEY_WRONG: Rule(
            "identity.ins_key",
            "La clé du matricule INS doit être 97 moins le reste de sa division par 97.",
            "The key of an INS matricule must be 97 minus the remainder of its division by 97.",
            "RNIV; contrôle de la clé du NIR",
        ),
        HoldReason.TEST_IDENTITY_IN_PRODUCTION: Rule(
            "identity.test_oid_in_production",
            "Une identité de test (OID .10 ou .11) n'a pas cours en production.",
            "A test identity (OID .10 or .11) has no place in production.",
            "CI-SIS, OID de l'INS",
        ),
        HoldReason.STATUS_DOUBTFUL: Rule(
            "identity.status_doubtful",
            "Une identité déclarée douteuse ou fictive attend l'avis d'une personne.",
            "An identity declared doubtful or fictive waits for a person.",
            "RNIV, attributs de l'identité",
        ),
        HoldReason.INS_NOT_QUALIFIED_IN_DOCUMENT: Rule(
            "identity.ins_not_qualified",
            "Un document qui contient un INS dont le statut n'est pas qualifié ne circule pas.",
            "A document that contains an INS whose status is not qualified does not travel.",
            "INS/va1.53",
        ),
        HoldReason.IDENTITY_DISAGREES: Rule(
            "identity.traits_agree",
            "Le message et le document doivent désigner la même personne, trait par trait.",
            "The message and the document must name the same person, trait by trait.",
            "CI-SIS Transmission de documents CDA en HL7v2, PID-3 et recordTarget",
        ),
        HoldReason.HISTORICAL_INS: Rule(
            "identity.historical_ins",
            "Un ancien matricule du patient est reconnu, jamais remplacé.",
            "A former matricule of the patient is recognised, never replaced.",
            "INSi, INSHISTO",
        ),
        HoldReason.LOCAL_ID_WITH_ANOTHER_INS: Rule(
            "identity.local_id_link",
            "Un identifiant local déjà lié à un INS ne peut en désigner un autre sans l'avis d'une personne.",
            "A local id that belongs to one INS cannot name another without a person's word.",
            "RNIV, identitovigilance",
        ),
        HoldReason.BORN_AFTER_DOCUMENT: Rule(
            "identity.born_before_document",
            "Un patient ne naît pas après la date de son document.",
            "A patient is not born after the date of the document.",
            "CI-SIS Structuration minimale, effectiveTime et birthTime",
        ),
        HoldReason.REJECTED_BEFORE: Rule(
            "identity.rejected_before",
            "Une personne a refusé ce document: aucune nouvelle demande ne le fait partir seule.",
            "A person rejected this document: no later request sends it by itself.",
            "Relais",
        ),
        HoldReason.FACT_UNREADABLE: Rule(
            "identity.readable",
            "Ce qui ne peut être lu attend une personne.",
            "What cannot be read waits for a person.",
            "Relais",
        ),
        HoldReason.SUBJECT_ERASED: Rule(
            "identity.subject_erased",
            "Les données du patient ont été effacées: le document ne peut plus être vérifié.",
            "The patient's data was erased: the document cannot be verified any more.",
            "RGPD, article 17",
        ),
    }
)


def rule_of(reason: HoldReason) -> Rule:
    """The rule behind a reason to hold. Raises KeyError for a reason that is not identity's."""
    return RULES[reason]
