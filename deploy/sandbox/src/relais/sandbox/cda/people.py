"""Invented people. A patient's INS is a well-formed NIR with its key, under the OID of test identities unless asked otherwise."""

from datetime import date, timedelta
from random import Random
from typing import Final

import msgspec

from relais.contracts.submission import DeclaredIdentity, InsStatus, Professional

INS_NIR: Final = "1.2.250.1.213.1.4.8"
"""Production identities: only for tests of what must happen to them."""

INS_NIR_TEST: Final = "1.2.250.1.213.1.4.10"
"""Test identities (DOMAIN §3)."""

HOSPITAL_AUTHORITY: Final = "2.999.1.1"
"""Who gives the local identifiers: an OID of the arc kept for examples."""

_FAMILIES: Final = (
    "AUBERTIN", "BELLOCQ", "CHARDONNET", "D'HAUTEFORT", "ESPARBES", "FONTANEL", "GARRIGUE", "HUGUENIN", "JOUVENEL", "KERVADEC", "LE GOFFIC",
    "MARCILHAC", "NOUAILLE", "ORSINI", "PEYRISSAC", "QUINTARD", "ROUVIERE-MAS", "SAINT-ANDRE", "TAVERNIER", "VALLORBE",
)  # fmt: skip
_GIVEN_BY_SEX: Final = {
    "F": ("ADELE", "BLANCHE", "CLEMENCE", "DIANE", "ELOISE", "FANNY", "GARANCE", "HERMINE", "ISAURE", "MARIE-LOU"),
    "M": ("ANATOLE", "BASILE", "CORENTIN", "DAMIEN", "ELIE", "FELICIEN", "GASPARD", "HONORE", "ISIDORE", "JEAN-LOUP"),
}
_COMMUNES: Final = {
    "13055": "MARSEILLE", "2A004": "AJACCIO", "2B033": "BASTIA", "31555": "TOULOUSE", "33063": "BORDEAUX", "35238": "RENNES",
    "44109": "NANTES", "59350": "LILLE", "67482": "STRASBOURG", "69123": "LYON", "75056": "PARIS", "97411": "SAINT-DENIS",
}  # fmt: skip
_SPECIALTIES: Final = (
    ("G15_10/SM26", "Médecin - Qualifié en Médecine Générale (SM)"),
    ("G15_10/SM27", "Médecin - Médecine interne (SM)"),
    ("G15_10/SM03", "Médecin - Biologie médicale (SM)"),
)
_CORSICA: Final = {"2A": "19", "2B": "18"}
_FIRST_BIRTH: Final = date(1931, 1, 1)
_BIRTHS_DAYS: Final = 27_000
"""About 74 years of births: everybody is an adult, of between 20 and 94 years in 2025."""


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """A patient with what a header says beyond their identity."""

    identity: DeclaredIdentity
    used_name: str
    birth_town: str


class Doctor(msgspec.Struct, frozen=True, kw_only=True):
    """A professional with the speciality a header says."""

    professional: Professional
    specialty_code: str
    specialty_label: str
    organisation_name: str


def ins_with_key(nir: str) -> str:
    """The fifteen characters of an INS from its thirteen: the key is 97 − N mod 97, Corsica's letters read as 19 and 18."""
    department = nir[5:7]
    number = int(nir[:5] + _CORSICA.get(department, department) + nir[7:])
    return f"{nir}{97 - number % 97:02d}"


def invent_patient(chance: Random, ins_oid: str, *, born: date | None = None) -> Person:
    """A patient whose INS agrees with sex, birth date and birth place."""
    sex = chance.choice(("F", "M"))
    given = chance.choice(_GIVEN_BY_SEX[sex])
    second = chance.choice(_GIVEN_BY_SEX[sex])
    birth = born or _FIRST_BIRTH + timedelta(days=chance.randrange(_BIRTHS_DAYS))
    commune = chance.choice(tuple(_COMMUNES))
    nir = f"{'2' if sex == 'F' else '1'}{birth:%y%m}{commune}{chance.randrange(1, 1000):03d}"
    family = chance.choice(_FAMILIES)
    identity = DeclaredIdentity(
        ins=ins_with_key(nir),
        ins_oid=ins_oid,
        ins_status=InsStatus.QUALIFIEE,
        birth_family_name=family,
        first_birth_given_name=given,
        given_names=given if second == given else f"{given} {second}",
        sex=sex,
        birth_date=f"{birth:%Y%m%d}",
        birth_place=commune,
        local_id=f"{chance.randrange(10**9, 10**10)}",
        local_id_authority=HOSPITAL_AUTHORITY,
    )
    used_name = chance.choice(_FAMILIES) if chance.random() < 0.3 else family
    return Person(identity=identity, used_name=used_name, birth_town=_COMMUNES[commune])


def invent_doctor(chance: Random) -> Doctor:
    """A professional under an RPPS number (PS_IdNat prefix 8) and a FINESS number (prefix 1) that belong to nobody."""
    code, label = chance.choice(_SPECIALTIES)
    professional = Professional(
        identifier=f"899{chance.randrange(10**9):09d}",
        family_name=chance.choice(_FAMILIES),
        given_name=chance.choice(_GIVEN_BY_SEX[chance.choice(("F", "M"))]).title(),
        organisation="1990000017",
    )
    return Doctor(professional=professional, specialty_code=code, specialty_label=label, organisation_name="Hôpital de l'Étape & du Relais")
