"""Attacks the fake partner with the suite of connectors: a fake that has not passed it is not a fake."""

from collections.abc import Sequence

import pytest

from relais.clock import SystemClock
from relais.testing.connector_suite import Arrived, Conduct, ConnectorSuite, Parcel, Said
from tests.delivery.calls import said_by
from tests.delivery.memory_partner import MemoryPartner


class MemoryPlace:
    def __init__(self) -> None:
        self.partner = MemoryPartner(SystemClock())

    async def deliver(self, parcel: Parcel) -> Said:
        return await said_by(self.partner, parcel)

    def behave(self, *conducts: Conduct) -> None:
        self.partner.behave(*conducts)

    def arrived(self) -> Sequence[Arrived]:
        return [Arrived(kept.document, kept.times, key, key, kept.address) for key, kept in self.partner.kept.items()]

    async def partner_goes_away(self) -> None:
        await self.partner.close()


class TestMemoryPartner(ConnectorSuite):
    """The published suite."""

    @pytest.fixture
    def place(self) -> MemoryPlace:
        return MemoryPlace()
