"""The ladder of INS statuses (RNIV), on which this platform only ever goes down (SAFETY 8)."""

from collections.abc import Iterable
from typing import Final

from relais.contracts.submission import InsStatus

# Recovered (INSi answered) and validated (a proof of identity was seen) are two ways up, so neither stands above the other.
_RANKS: Final = {
    InsStatus.FICTIVE: 0,
    InsStatus.DOUTEUSE: 0,
    InsStatus.PROVISOIRE: 1,
    InsStatus.RECUPEREE: 2,
    InsStatus.VALIDEE: 2,
    InsStatus.QUALIFIEE: 3,
}

DOUBTFUL: Final = frozenset({InsStatus.DOUTEUSE, InsStatus.FICTIVE})


def is_lowering(declared: InsStatus, given: InsStatus) -> bool:
    """Whether `given` is the declared status itself or truly below it."""
    return given is declared or _RANKS[given] < _RANKS[declared]


def lowest(declared: InsStatus, ceilings: Iterable[InsStatus]) -> InsStatus:
    """The declared status, lowered to each ceiling that is below it."""
    status = declared
    for ceiling in ceilings:
        if _RANKS[ceiling] < _RANKS[status]:
            status = ceiling
    return status
