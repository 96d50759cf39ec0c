"""INSi where it is not connected: nobody is asked, and every answer says so."""

from collections.abc import Sequence

from relais.contracts.submission import DeclaredIdentity
from relais.identity.domain.examination import NOT_ASKED, InsiAnswer


class InsiNotConnected:
    """The port's answer while this deployment has no access to the teleservice."""

    async def ask(self, identities: Sequence[DeclaredIdentity]) -> list[InsiAnswer]:
        return [NOT_ASKED] * len(identities)
