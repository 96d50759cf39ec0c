"""Addresses: whether one is in the patient domain, whatever flag or field named it, and whether it is this patient's (SAFETY 11).

What a mail system might read differently is not argued with: an address that names the patient domain anywhere is a patient
route, and only a plain address that is exactly the patient's own is accepted.
"""

import re
import unicodedata
from collections.abc import Iterable
from typing import Final

PATIENT_DOMAIN: Final = "patient.mssante.fr"
ADDRESS_CHARACTERS_MAXIMUM: Final = 254

_SCHEME: Final = "mailto:"
# Full stops that mail and browser software read as a dot (UTS #46); NFKC folds one of them already.
_DOTS: Final = str.maketrans({"\u3002": ".", "\uff0e": ".", "\uff61": "."})
# RFC 5321 without quoted local parts, comments and literals: no directory of MSSanté holds such an address.
_INVISIBLE: Final = frozenset({"Cf", "Cc", "Mn"})
_PLAIN: Final = re.compile(r"[a-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@(?P<domain>[a-z0-9-]{1,63}(?:\.[a-z0-9-]{1,63})+)")


def canonical_address(written: str) -> str:
    """An address as it is compared: compatibility forms, case, invisible signs, `mailto:` and a trailing dot folded away."""
    if written.isascii() and written.isprintable():
        visible = written.lower()
    else:
        folded = unicodedata.normalize("NFKC", written).translate(_DOTS).casefold()
        visible = "".join(sign for sign in folded if unicodedata.category(sign) not in _INVISIBLE)
    return visible.strip().removeprefix(_SCHEME).rstrip(".")


def is_plain(canonical: str) -> bool:
    """Whether a canonical address is one plain address that a mail can go to."""
    return len(canonical) <= ADDRESS_CHARACTERS_MAXIMUM and _PLAIN.fullmatch(canonical) is not None


def in_patient_domain(canonical: str, patient_domains: Iterable[str]) -> bool:
    """Whether the patient domain, or a part of it, is named anywhere in what stands in for an address."""
    joined = "".join(canonical.split())
    # Whole labels only: `notpatient.mssante.fr` is another domain, `x.patient.mssante.fr` is not.
    return any(re.search(rf"(?<![a-z0-9-]){re.escape(domain)}(?![a-z0-9-])", joined) for domain in patient_domains)


def is_own_address(canonical: str, matricule: str, patient_domains: Iterable[str]) -> bool:
    """Whether a canonical address is exactly the mailbox of the person with this INS."""
    return bool(matricule) and canonical in {f"{matricule.casefold()}@{domain}" for domain in patient_domains}


def own_address(matricule: str) -> str:
    """The mailbox of the person with this INS, in the national patient domain."""
    return f"{matricule.casefold()}@{PATIENT_DOMAIN}"
