"""JDV_J07 (XDS typeCode CI-SIS, OID 1.2.250.1.213.1.1.5.471): every type a document of the framework may have.

Source: the value set published by the Agence du Numérique en Santé in its NOS (mos.esante.gouv.fr/NOS, Licence Ouverte),
revision of 2024-09-27, 114 codes. A typeCode outside it is refused at the door (SAFETY 4). A new revision is a new table
here and a new `JDV_J07_REVISION`; nothing else names a date.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from relais.contracts.header import HeaderExtract
from relais.ingestion.cda.refusal import DocumentRefused, RefusalCode

JDV_J07_REVISION: Final = "2024-09-27"

_TRE_A05: Final = "1.2.250.1.213.1.1.4.12"
_LOINC: Final = "2.16.840.1.113883.6.1"
_ASTM: Final = "ASTM"


def is_known_type(code: str, system: str) -> bool:
    """Whether J07 holds this code *of this code system* (an OID): the same digits of another system mean something else."""
    return (code, system) in _LABELS


def type_label(code: str, system: str) -> str:
    """The French label J07 gives, or empty for a type it does not hold."""
    return _LABELS.get((code, system), "")


def refuse_unknown_type(header: HeaderExtract) -> None:
    """Raise DocumentRefused (TYPE_CODE_UNKNOWN) unless the document's type stands in J07."""
    if not is_known_type(header.type.code, header.type.system):
        raise DocumentRefused(RefusalCode.TYPE_CODE_UNKNOWN, "ClinicalDocument/code/@code")


_LABELS: Final[Mapping[tuple[str, str], str]] = MappingProxyType(
    {
        ("ATTEST-ASS-COMPL", _TRE_A05): "Attestation assurance complémentaire",
        ("ATTEST-RESID", _TRE_A05): "Attestation de résidence",
        ("ATTEST-HEBGT", _TRE_A05): "Attestation d'hébergement",
        ("ATTEST-DROITS-AM", _TRE_A05): "Attestation de droits à l'assurance maladie",
        ("AUTORIS-SOINS", _TRE_A05): "Autorisation de soins et actes non usuels sanitaires",
        ("BIL_AUTO", _TRE_A05): "CR de bilan d'évaluation de la perte d'autonomie",
        ("CERT_DECL", _TRE_A05): "Certificat, déclaration",
        ("DISP_AUT", _TRE_A05): "Dispensation (autre)",
        ("EXPPAT_1", _TRE_A05): "Volontés et droits du patient",
        ("EXPPAT_2", _TRE_A05): "Autre document du patient",
        ("EXPPAT_3", _TRE_A05): "Directives anticipées",
        ("IMG-KOS", _TRE_A05): "Reference d'objets d'un examen d'imagerie",
        ("PROT_ALD", _TRE_A05): "Protocole de soins ALD",
        ("REMB", _TRE_A05): "Données de remboursement",
        ("SYNTH", _TRE_A05): "Synthèse",
        ("DOCPAT01", _TRE_A05): "Synthèse déposée par le patient",
        ("DOCPAT02", _TRE_A05): "Traitement ou document de soins déposé par le patient",
        ("DOCPAT03", _TRE_A05): "CR déposé par le patient",
        ("DOCPAT04", _TRE_A05): "Imagerie déposée par le patient",
        ("DOCPAT05", _TRE_A05): "CR de biologie déposé par le patient",
        ("DOCPAT06", _TRE_A05): "CR de prévention déposé par le patient",
        ("DOCPAT07", _TRE_A05): "Certificat déposé par le patient",
        ("DOCPAT08", _TRE_A05): "Profil médical Mon espace santé",
        ("DOCPAT09", _TRE_A05): "Document administratif déposé par le patient",
        ("PIECE-IDENTITE", _TRE_A05): "Copie pièce d'identité",
        ("PRESC-AAT", _TRE_A05): "Prescription arrêt de travail",
        ("PRESC-BIO", _TRE_A05): "Prescription d'actes de biologie médicale",
        ("PRESC-KINE", _TRE_A05): "Prescription d'actes de kinésithérapie",
        ("PRESC-INF", _TRE_A05): "Prescription d'actes infirmiers",
        ("PRESC-PEDI", _TRE_A05): "Prescription d'actes de pédicurie",
        ("PRESC-ORTHOPHO", _TRE_A05): "Prescription d'actes d'orthophonie",
        ("PRESC-ORTHOPTIE", _TRE_A05): "Prescription d'actes d'orthoptie",
        ("FEUILLE-DE-STYLE", _TRE_A05): "Feuille de style",
        ("FICHE-CONTACTS", _TRE_A05): "Fiche contacts",
        ("EXPORT_DUI", _TRE_A05): "Export du Dossier Usager Informatisé",
        ("11369-6", _LOINC): "Historique des vaccinations",
        ("11488-4", _LOINC): "CR ou fiche de consultation ou de visite",
        ("11490-0", _LOINC): "Lettre de liaison à la sortie d'un établissement de soins",
        ("34112-3", _LOINC): "CR hospitalier (séjour)",
        ("11502-2", _LOINC): "CR d'examens biologiques",
        ("11505-5", _LOINC): "CR d'acte thérapeutique (autre)",
        ("11506-3", _LOINC): "CR ou fiche de suivi de soins par auxiliaire médical",
        ("15507-7", _LOINC): "CR de passage aux urgences",
        ("15508-5", _LOINC): "CR d'accouchement",
        ("18776-5", _LOINC): "Plan personnalisé de soins",
        ("18748-4", _LOINC): "CR d'imagerie médicale",
        ("18761-7", _LOINC): "Note de transfert (dont lettre de liaison à l'entrée en établissement de soins)",
        ("28617-9", _LOINC): "Bilan bucco-dentaire",
        ("28653-4", _LOINC): "Document du secteur social / médico-social",
        ("29274-8", _LOINC): "Mesures de signes vitaux",
        ("34120-6", _LOINC): "Bilan par professionnel de santé",
        ("34133-9", _LOINC): "Synthèse d'épisode de soins",
        ("34749-2", _LOINC): "CR de consultation pré-anesthésique",
        ("34794-8", _LOINC): "CR de réunion de concertation pluridisciplinaire",
        ("34842-5", _LOINC): "Grille d'évaluation médico-social",
        ("34874-8", _LOINC): "CR opératoire",
        ("34875-5", _LOINC): "Évaluation postopératoire et note de suivi",
        ("47420-5", _LOINC): "CR de bilan fonctionnel",
        ("51851-4", _LOINC): "Document administratif",
        ("51969-4", _LOINC): "CR de génétique moléculaire",
        ("52040-3", _LOINC): "Document encapsulant une image d'illustration non DICOM",
        ("55115-0", _LOINC): "Demande d'actes d'imagerie",
        ("56445-0", _LOINC): "Bilan médicamenteux (Officine)",
        ("56446-8", _LOINC): "Notification de rendez-vous",
        ("57828-6", _LOINC): "Prescription (autre)",
        ("57832-8", _LOINC): "Prescription de soins",
        ("57833-6", _LOINC): "Prescription de produits de santé",
        ("59283-2", _LOINC): "CR d'examen de l'enfant",
        ("59284-0", _LOINC): "Attestation de consentement",
        ("60280-5", _LOINC): "Fiche de retour du service des urgences",
        ("60568-3", _LOINC): "CR d'anatomie et de cytologie pathologiques",
        ("60591-5", _LOINC): "Synthèse médicale",
        ("60593-1", _LOINC): "Dispensation médicamenteuse",
        ("61357-0", _LOINC): "Intervention pharmaceutique",
        ("67851-6", _LOINC): "CR d'admission",
        ("68599-0", _LOINC): "Synthèse psychiatrique",
        ("68817-6", _LOINC): "Bilan de santé et de prévention de l'enfant",
        ("70004-7", _LOINC): "CR d'acte diagnostique (autre)",
        ("78341-5", _LOINC): "Fiche de transfert vers le service des urgences",
        ("74207-2", _LOINC): "Document de liaison d'urgence",
        ("74465-6", _LOINC): "Questionnaire patient",
        ("75468-9", _LOINC): "Renouvellement ordonnance par pharmacien correspondant",
        ("75482-0", _LOINC): "CR d'acte thérapeutique à visée préventive",
        ("75492-9", _LOINC): "CR d'acte diagnostique à visée préventive ou de dépistage",
        ("75496-0", _LOINC): "Demande d'acte de télémédecine",
        ("77436-4", _LOINC): "CR d'anesthésie",
        ("77604-7", _LOINC): "Planification thérapeutique",
        ("78513-9", _LOINC): "CR de consultation en ophtalmologie",
        ("78601-2", _LOINC): "CR d'entretien pharmaceutique",
        ("80565-5", _LOINC): "CR d'administration de médicaments",
        ("80771-9", _LOINC): "Projet d'accueil individualisé",
        ("80788-3", _LOINC): "Projet personnalisé d'accompagnement",
        ("80820-4", _LOINC): "Formulaire de conciliation médicamenteuse (Hôpital)",
        ("83836-7", _LOINC): "Schéma dentaire",
        ("83869-8", _LOINC): "Plan personnalisé de prévention",
        ("83901-9", _LOINC): "Bilan psychologique",
        ("83981-1", _LOINC): "Lettre de liaison à la sortie d'une structure sociale ou médico-sociale",
        ("85208-7", _LOINC): "CR de télémédecine",
        ("86531-1", _LOINC): "Attestation de sortie",
        ("87273-9", _LOINC): "Note de vaccination",
        ("88348-8", _LOINC): "Lettre de liaison d'entrée en structure sociale ou médico-sociale",
        ("89601-9", _LOINC): "Certificat médical",
        ("93024-8", _LOINC): "CR de consultation pharmaceutique",
        ("96349-6", _LOINC): "Lettre d'adressage",
        ("96874-3", _LOINC): "COVID-19 Attestation de vaccination",
        ("96173-0", _LOINC): "Test rapide d'orientation diagnostique",
        ("57055-6", _LOINC): "Synthèse antepartum",
        ("57057-2", _LOINC): "Synthèse Salle de Naissance Mère",
        ("57075-4", _LOINC): "Synthèse Salle de Naissance Enfant",
        ("89235-6", _LOINC): "Synthèse Suites de Couches Mère",
        ("78489-2", _LOINC): "Synthèse Enfant en Maternité",
        ("89233-1", _LOINC): "CR de grossesse",
        ("101881-1", _LOINC): "Carte d'implant",
        ("E1762", _ASTM): "Full Document",
    }
)
