"""What the platform's words mean to people: French first, English beside it. Codes are data; the sentences are here, and a test finds a
word that has none.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Sentence:
    """The same thing in two languages."""

    french: str
    english: str


HOLD = {
    "IDENTITY_DISAGREES": Sentence("l'identité du message et celle du document diffèrent", "message and document disagree on the identity"),
    "INS_KEY_WRONG": Sentence("la clé du matricule INS est fausse", "the key of the INS is wrong"),
    "INS_FORMAT_WRONG": Sentence("le matricule INS est mal formé", "the INS is malformed"),
    "INS_NOT_QUALIFIED_IN_DOCUMENT": Sentence(
        "le document contient un INS alors que l'identité n'est pas qualifiée",
        "the document holds an INS but the identity is not qualified",
    ),
    "STATUS_DOUBTFUL": Sentence("l'identité est déclarée douteuse ou fictive", "the identity is declared doubtful or fictitious"),
    "LOCAL_ID_WITH_ANOTHER_INS": Sentence("cet IPP est déjà lié à un autre INS", "this local id is already linked to another INS"),
    "BORN_AFTER_DOCUMENT": Sentence("le patient est né après la date du document", "the patient was born after the document's date"),
    "HISTORICAL_INS": Sentence("l'INS est un ancien matricule", "the INS is a historical one"),
    "TEST_IDENTITY_IN_PRODUCTION": Sentence("identité de test en production", "a test identity in production"),
    "PATIENT_ADDRESS_IS_NOT_THE_PATIENT": Sentence(
        "l'adresse du domaine patient n'est pas celle de ce patient", "the address in the patient domain is not this patient's"
    ),
    "MINOR_OR_AGE_UNKNOWN": Sentence(
        "patient mineur ou d'âge inconnu, à ne pas montrer aux représentants",
        "a minor or of unknown age, not to be shown to representatives",
    ),
    "MATRIX_COMBINATION_UNKNOWN": Sentence(
        "la matrice MSSanté ne prévoit pas cette combinaison d'indicateurs", "the MSSanté matrix does not know this combination of flags"
    ),
    "POLICY_MISSING": Sentence("aucune politique de routage n'est active pour ce site", "no routing policy is active for this site"),
    "FACT_UNREADABLE": Sentence("un fait de ce document n'a pas pu être lu", "a fact about this document could not be read"),
    "SUBJECT_ERASED": Sentence("les données de cette personne ont été effacées", "this person's data was erased"),
    "MASKING_LOOSENED": Sentence("un nouvel envoi réduirait le masquage", "a new request would loosen the masking"),
    "REJECTED_BEFORE": Sentence("ce document a déjà été rejeté", "this document was rejected before"),
}

SUPPRESS = {
    "TYPE_NOT_FOR_DMP": Sentence("ce type de document ne va pas au DMP (J66)", "this type does not go to the DMP (J66)"),
    "TYPE_WITHOUT_CLASS": Sentence("ce type n'a pas de classe (ASS_X04)", "this type has no class (ASS_X04)"),
    "IDENTITY_NOT_QUALIFIED": Sentence("l'identité n'est pas qualifiée", "the identity is not qualified"),
    "TEST_IDENTITY": Sentence("identité de test", "a test identity"),
    "OPPOSITION": Sentence("le patient s'oppose à l'alimentation du DMP", "the patient opposes feeding the DMP"),
    "CONFIDENTIALITY": Sentence("le code de confidentialité l'interdit", "the confidentiality code forbids it"),
    "DOCUMENT_ID_HAS_EXTENSION": Sentence("l'identifiant du document a une extension", "the document's id has an extension"),
    "INVISIBLE_TO_PATIENT": Sentence("document non visible du patient", "not visible to the patient"),
    "SECRET_CONNECTION": Sentence("connexion secrète", "secret connection"),
    "NO_ENDPOINT": Sentence("la politique du site ne prévoit pas de canal", "the site's policy names no channel"),
    "ALREADY_SERVED": Sentence("cette destination l'a déjà reçu", "this destination has it already"),
    "NO_RECIPIENT": Sentence("aucun destinataire n'est nommé", "no recipient is named"),
    "NOT_REQUESTED": Sentence("non demandé par l'émetteur", "not asked for by the sender"),
    "MASKED_TO_PROFESSIONALS": Sentence("masqué aux professionnels", "masked to professionals"),
    "INVISIBLE_TO_REPRESENTATIVES": Sentence("non visible des représentants légaux", "not visible to legal representatives"),
    "OUTSIDE_THE_MATRIX": Sentence("la matrice MSSanté ne le prévoit pas", "outside the MSSanté matrix"),
    "PATIENT_ADDRESS_IS_NOT_THE_PATIENT": HOLD["PATIENT_ADDRESS_IS_NOT_THE_PATIENT"],
    "ADDRESS_UNUSABLE": Sentence("l'adresse n'est pas utilisable", "the address cannot be used"),
    "IDENTITY_REJECTED": Sentence("l'identité a été rejetée", "the identity was rejected"),
}

ABANDON = {
    "REFUSED_BY_PARTNER": Sentence("refusé par le destinataire", "refused by the partner"),
    "ATTEMPTS_EXHAUSTED": Sentence("trop de tentatives sans succès", "too many attempts without success"),
    "ABANDONED_BY_OPERATOR": Sentence("abandonné par un opérateur", "given up by an operator"),
    "IDENTITY_NO_LONGER_RELEASED": Sentence("l'identité n'est plus validée pour l'envoi", "the identity is no longer released"),
    "OPPOSITION": SUPPRESS["OPPOSITION"],
    "FLAGS_TIGHTENED": Sentence("un envoi ultérieur interdit cette destination", "a later request forbids this destination"),
    "DOCUMENT_DELETED": Sentence("le document a été supprimé", "the document was deleted"),
    "DOCUMENT_REPLACED": Sentence("le document a été remplacé", "the document was replaced"),
    "SUBJECT_ERASED": HOLD["SUBJECT_ERASED"],
    "BODY_UNREADABLE": Sentence("le contenu n'a pas pu être ouvert", "the content could not be opened"),
    "ENDPOINT_UNKNOWN": Sentence("ce canal n'est pas configuré", "this endpoint is not configured"),
}

STATE = {
    "RECEIVED": Sentence("reçu", "received"),
    "VERIFIED": Sentence("identité vérifiée", "identity verified"),
    "HELD": Sentence("retenu", "held"),
    "RELEASED": Sentence("libéré", "released"),
    "REJECTED": Sentence("rejeté", "rejected"),
    "DELIVERING": Sentence("en cours de remise", "on its way"),
    "WAITING": Sentence("en attente d'une nouvelle tentative", "waiting to be tried again"),
    "DONE": Sentence("terminé", "done"),
    "SCHEDULED": Sentence("programmé", "scheduled"),
    "ATTEMPTING": Sentence("envoi en cours", "being sent"),
    "PLANNED": Sentence("prévu", "planned"),
    "SUPPRESSED": Sentence("écarté", "suppressed"),
    "DEFERRED": Sentence("différé", "deferred"),
    "ACCEPTED": Sentence("pris en charge", "accepted"),
    "SUCCEEDED": Sentence("remis", "delivered"),
    "ABANDONED": Sentence("abandonné", "abandoned"),
    "OPEN": Sentence("ouvert", "open"),
    "PAUSED": Sentence("suspendu", "paused"),
    "DRAINING": Sentence("en vidange", "draining"),
    "BROKEN": Sentence("en panne", "broken"),
}

KIND = {
    "dmp": Sentence("DMP", "DMP"),
    "mssante_professional": Sentence("MSSanté professionnel", "MSSanté, professional"),
    "mssante_patient": Sentence("MSSanté patient", "MSSanté, patient"),
    "software": Sentence("logiciel", "software"),
}

STEP = {
    "ingestion.document_received.v1": Sentence("document reçu", "document received"),
    "ingestion.distribution_requested.v1": Sentence("nouvel envoi du même document", "sent again with other recipients or flags"),
    "identity.verified.v1": Sentence("identité vérifiée", "identity verified"),
    "identity.held.v1": Sentence("retenu : identité douteuse", "held: doubtful identity"),
    "identity.released.v1": Sentence("libéré par une personne", "released by a person"),
    "identity.rejected.v1": Sentence("rejeté par une personne", "rejected by a person"),
    "identity.parked.v1": Sentence("mis de côté : fait illisible", "parked: unreadable fact"),
    "routing.planned.v1": Sentence("destinations décidées", "destinations decided"),
    "routing.suppressed.v1": Sentence("destinations écartées", "destinations suppressed"),
    "routing.document_held.v1": Sentence("retenu : règle de routage", "held by a routing rule"),
    "routing.document_released.v1": Sentence("libéré par une personne", "released by a person"),
    "routing.parked.v1": Sentence("mis de côté : fait illisible", "parked: unreadable fact"),
    "routing.rejection_noted.v1": Sentence("rejet pris en compte", "rejection noted"),
    "delivery.scheduled.v1": Sentence("remise programmée", "delivery scheduled"),
    "delivery.attempted.v1": Sentence("tentative", "attempt"),
    "delivery.accepted.v1": Sentence("pris en charge par le destinataire", "accepted by the partner"),
    "delivery.succeeded.v1": Sentence("remis", "delivered"),
    "delivery.deferred.v1": Sentence("différé", "deferred"),
    "delivery.abandoned.v1": Sentence("remise abandonnée", "delivery given up"),
    "delivery.retry_requested.v1": Sentence("nouvelle tentative demandée", "another attempt asked for"),
    "delivery.reinstated.v1": Sentence("remise reprise : le doute est levé", "delivery goes on: the doubt is lifted"),
    "delivery.parked.v1": Sentence("mis de côté : fait illisible", "parked: unreadable fact"),
}

_ALL = (STATE, STEP, HOLD, SUPPRESS, ABANDON, KIND)


def said(word: str) -> str:
    """A word as people read it, `français / English`; a word without a sentence (a partner's code, a newer platform's) as it is."""
    for sentences in _ALL:
        sentence = sentences.get(word) or sentences.get(word.lower())
        if sentence is not None:
            return sentence.french if sentence.french == sentence.english else f"{sentence.french} / {sentence.english}"
    return word
