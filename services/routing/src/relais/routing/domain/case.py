"""What the law looks at and what it answers: the case of one request, and the judgement of every destination in it."""

from dataclasses import dataclass
from datetime import date
from enum import Enum
from typing import Final

from relais.contracts.deployment import Deployment
from relais.contracts.header import HeaderExtract
from relais.contracts.reasons import HoldReason, SuppressReason
from relais.contracts.routing import DestinationKind, EndpointChoice
from relais.contracts.submission import DeclaredIdentity, Flags, InsStatus, Opposition, Recipient
from relais.routing.law.addresses import PATIENT_DOMAIN
from relais.routing.law.tables import Tables

INS_OIDS: Final = frozenset(f"1.2.250.1.213.1.4.{suffix}" for suffix in (8, 9, 10, 11))
TEST_OIDS: Final = frozenset({"1.2.250.1.213.1.4.10", "1.2.250.1.213.1.4.11"})


@dataclass(frozen=True, slots=True)
class Law:
    """What does not depend on a request: the value sets, which world this is, and the domains whose mailboxes are patients'."""

    tables: Tables
    deployment: Deployment
    patient_domains: frozenset[str] = frozenset({PATIENT_DOMAIN})


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One request as the law sees it. `flags` are those in force, the masking of earlier requests included.

    `loosened` says that this request tried to mask less than an earlier one. `released` says that a person has looked at what
    was held: what the law never allows is then refused instead of held again.
    """

    flags: Flags
    opposition: Opposition
    status: InsStatus
    type_code: str
    header: HeaderExtract
    identity: DeclaredIdentity
    recipients: tuple[Recipient, ...]
    day: date
    loosened: bool = False
    released: bool = False

    @property
    def qualified_ins(self) -> str:
        """The matricule that message and document agree on, where its status is qualified; else empty."""
        declared = "".join(self.identity.ins.split()).upper()
        carried = {("".join(one.extension.split()).upper(), one.root) for one in self.header.patient_ids if one.root in INS_OIDS}
        agreed = carried == {(declared, self.identity.ins_oid)}
        return declared if declared and agreed and self.status is InsStatus.QUALIFIEE else ""

    @property
    def is_test_identity(self) -> bool:
        """Whether either side names the patient under a test OID."""
        return self.identity.ins_oid in TEST_OIDS or any(one.root in TEST_OIDS for one in self.header.patient_ids)


class Verdict(Enum):
    """What becomes of one wish."""

    PLANNED = "planned"
    SUPPRESSED = "suppressed"
    HELD = "held"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """One destination the sender asked for: `name` is what makes it the same destination again (personal, never in a fact).

    `whole` says that its hold holds the whole document, because it doubts whose the document is.
    """

    kind: DestinationKind
    verdict: Verdict
    rule: str
    name: str = ""
    recipient: int | None = None
    suppressed: SuppressReason | None = None
    held: HoldReason | None = None
    whole: bool = False
    endpoint: EndpointChoice | None = None
    fallback: bool = False


@dataclass(frozen=True, slots=True)
class Judgement:
    """All wishes in the order in which ordinals are given, and what holds the document as a whole (reason, rule)."""

    wishes: tuple[Wish, ...]
    holds: tuple[tuple[HoldReason, str], ...]
    matrix: str
    matrix_row: str = ""

    def reasons(self) -> tuple[tuple[HoldReason, str], ...]:
        """Every reason to hold with its rule, each once: the document's, then those of single destinations."""
        single = ((wish.held, wish.rule) for wish in self.wishes if wish.held is not None)
        return tuple(dict.fromkeys((*self.holds, *single)))

    def holds_everything(self) -> bool:
        """Whether nothing of this request may go before a person has looked."""
        return bool(self.holds) or any(wish.whole for wish in self.wishes if wish.held is not None)
