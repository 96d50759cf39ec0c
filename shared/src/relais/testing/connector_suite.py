"""What every connector must do. A connector that has not passed this carries no document.

A test module makes a subclass of `ConnectorSuite` and gives it the fixture `place`: one connector, a partner program that it
calls over a real socket, and how that partner is told what to do. The words here are the suite's own, so that any connector,
of any protocol, can be put behind them.
"""

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

import pytest

CALL_SECONDS = 5.0
SHORT_CALL_SECONDS = 0.4
BIG_BODY_BYTES = 9 * 1024 * 1024
# Bytes that a careless layer would change: every value, line ends of all sorts, a byte order mark, something like a header.
AWKWARD = b"\xef\xbb\xbf<?xml version='1.0'?>\r\n\n\r<x>" + bytes(range(256)) * 4 + b"\r\n\r\nHTTP/1.1 200 OK\r\n\r\n</x>"


class Conduct(Enum):
    """How the partner treats a call. It keeps the document in those marked so."""

    TAKES = "takes"  # keeps
    TAKES_SLOWLY = "takes slowly"  # keeps, within SHORT_CALL_SECONDS
    TAKES_AND_SAYS_NOTHING = "takes and says nothing"  # keeps
    TAKES_AND_HANGS_UP = "takes and hangs up"  # keeps
    SAYS_NOTHING = "says nothing"
    HANGS_UP_IN_THE_MIDDLE = "hangs up in the middle of the body"
    IS_AWAY = "says it is away"
    BREAKS = "says that something broke"
    REFUSES = "refuses this document"
    REFUSES_US = "refuses our credential"
    SENDS_ELSEWHERE = "sends us elsewhere"
    LIES = "says it took other bytes"
    BABBLES = "does not speak the protocol"


class Verdict(Enum):
    """What the connector said became of a call."""

    SUCCEEDED = "succeeded"
    ACCEPTED = "accepted"
    RETRY = "retry"
    REFUSED = "refused"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Parcel:
    """One document on its way. `address` is the recipient's; `in_parts` asks for the large-body path."""

    document: bytes = field(repr=False)
    name: str = "one"
    attempt: int = 1
    address: str = "dr.canary.amandine@medecin.mssante.example"
    patient: str = "CANARYSSON"
    in_parts: bool = False
    corrupted: bool = False
    timeout_seconds: float = CALL_SECONDS


@dataclass(frozen=True)
class Said:
    """The connector's answer; `raised` when it refused to send what it was given."""

    verdict: Verdict | None
    repeat: bool = False
    code: str = ""
    raised: bool = False


@dataclass(frozen=True)
class Arrived:
    """What the partner keeps of one document. `envelope` is all that could be logged on the way: URL, headers, subject lines."""

    document: bytes
    times: int
    key: str
    envelope: str
    address: str


class ConnectorPlace(Protocol):
    """One connector and its partner."""

    async def deliver(self, parcel: Parcel) -> Said:
        """Call the partner once."""
        ...

    def behave(self, *conducts: Conduct) -> None:
        """The next calls get these, one each; the last of them stays."""
        ...

    def arrived(self) -> Sequence[Arrived]:
        """What the partner has kept, first arrivals first."""
        ...

    async def partner_goes_away(self) -> None:
        """Nobody listens there any more."""
        ...


class ConnectorSuite:
    """The laws of a connector."""

    async def test_the_partner_gets_the_bytes_exactly_as_they_were_taken_in(self, place: ConnectorPlace) -> None:
        said = await place.deliver(Parcel(AWKWARD))
        assert said.verdict in (Verdict.SUCCEEDED, Verdict.ACCEPTED)
        assert [entry.document for entry in place.arrived()] == [AWKWARD]

    @pytest.mark.parametrize("size", [1, 65_536, BIG_BODY_BYTES])
    @pytest.mark.parametrize("in_parts", [False, True])
    async def test_a_body_of_any_size_arrives_whole(self, place: ConnectorPlace, size: int, in_parts: bool) -> None:
        document = hashlib.shake_128(b"seed").digest(min(size, 65_536)) * (size // 65_536 or 1)
        said = await place.deliver(Parcel(document, in_parts=in_parts, timeout_seconds=20))
        assert said.verdict in (Verdict.SUCCEEDED, Verdict.ACCEPTED)
        assert [hashlib.sha256(entry.document).digest() for entry in place.arrived()] == [hashlib.sha256(document).digest()]

    async def test_many_calls_in_a_row_and_at_once_each_get_their_own_answer(self, place: ConnectorPlace) -> None:
        for turn in range(3):
            said = await asyncio.gather(*(place.deliver(Parcel(b"%d" % number, name=f"{turn}-{number}")) for number in range(8)))
            assert {answer.verdict for answer in said} <= {Verdict.SUCCEEDED, Verdict.ACCEPTED}
        assert len({entry.key for entry in place.arrived()}) == 24

    async def test_the_partner_learns_the_recipient(self, place: ConnectorPlace) -> None:
        await place.deliver(Parcel(b"letter", address="dr.other@medecin.mssante.example"))
        assert [entry.address for entry in place.arrived()] == ["dr.other@medecin.mssante.example"]

    async def test_nothing_personal_stands_where_it_could_be_logged(self, place: ConnectorPlace) -> None:
        parcel = Parcel(b"letter")
        await place.deliver(parcel)
        (entry,) = place.arrived()
        for word in (parcel.address, parcel.address.split("@")[0], "canary", parcel.patient):
            assert word.lower() not in entry.envelope.lower()

    async def test_every_attempt_carries_the_same_key_and_a_repeat_is_recognised(self, place: ConnectorPlace) -> None:
        place.behave(Conduct.TAKES_AND_SAYS_NOTHING, Conduct.TAKES)
        lost = await place.deliver(Parcel(b"letter", timeout_seconds=SHORT_CALL_SECONDS))
        assert lost.verdict is Verdict.UNKNOWN
        again = await place.deliver(Parcel(b"letter", attempt=2))
        assert (again.verdict, again.repeat) == (Verdict.SUCCEEDED, True)
        assert [entry.times for entry in place.arrived()] == [2]

    async def test_two_deliveries_never_share_a_key(self, place: ConnectorPlace) -> None:
        await place.deliver(Parcel(b"letter", name="one"))
        await place.deliver(Parcel(b"letter", name="two"))
        assert [entry.times for entry in place.arrived()] == [1, 1]

    async def test_a_slow_partner_within_the_deadline_is_no_fault(self, place: ConnectorPlace) -> None:
        place.behave(Conduct.TAKES_SLOWLY)
        said = await place.deliver(Parcel(b"letter"))
        assert said.verdict in (Verdict.SUCCEEDED, Verdict.ACCEPTED)

    async def test_silence_past_the_deadline_is_an_unknown_outcome(self, place: ConnectorPlace) -> None:
        place.behave(Conduct.SAYS_NOTHING)
        loop = asyncio.get_running_loop()
        began = loop.time()
        said = await place.deliver(Parcel(b"letter", timeout_seconds=SHORT_CALL_SECONDS))
        assert said.verdict is Verdict.UNKNOWN
        assert loop.time() - began < SHORT_CALL_SECONDS + 1

    @pytest.mark.parametrize("conduct", [Conduct.HANGS_UP_IN_THE_MIDDLE, Conduct.TAKES_AND_HANGS_UP, Conduct.BREAKS, Conduct.BABBLES])
    async def test_a_call_that_breaks_after_it_began_is_an_unknown_outcome(self, place: ConnectorPlace, conduct: Conduct) -> None:
        place.behave(conduct, Conduct.TAKES)
        said = await place.deliver(Parcel(b"x" * 2_000_000))
        assert said.verdict is Verdict.UNKNOWN
        again = await place.deliver(Parcel(b"x" * 2_000_000, attempt=2))
        assert again.verdict is Verdict.SUCCEEDED
        assert again.repeat == (conduct is Conduct.TAKES_AND_HANGS_UP)

    @pytest.mark.parametrize("conduct", [Conduct.IS_AWAY, Conduct.REFUSES_US, Conduct.SENDS_ELSEWHERE])
    async def test_a_partner_at_fault_is_asked_again_and_has_nothing(self, place: ConnectorPlace, conduct: Conduct) -> None:
        place.behave(conduct)
        said = await place.deliver(Parcel(b"letter"))
        assert said.verdict is Verdict.RETRY
        assert said.code
        assert place.arrived() == []

    async def test_a_refused_document_is_not_asked_about_again(self, place: ConnectorPlace) -> None:
        place.behave(Conduct.REFUSES)
        said = await place.deliver(Parcel(b"letter"))
        assert said.verdict is Verdict.REFUSED
        assert said.code

    async def test_a_partner_that_says_yes_to_other_bytes_is_not_believed(self, place: ConnectorPlace) -> None:
        place.behave(Conduct.LIES)
        said = await place.deliver(Parcel(b"letter"))
        assert said.verdict is Verdict.REFUSED

    async def test_a_partner_that_is_not_there_certainly_has_nothing(self, place: ConnectorPlace) -> None:
        await place.partner_goes_away()
        said = await place.deliver(Parcel(b"letter"))
        assert said.verdict is Verdict.RETRY

    async def test_a_partner_that_goes_away_between_two_calls_is_noticed(self, place: ConnectorPlace) -> None:
        await place.deliver(Parcel(b"letter", name="one"))
        await place.partner_goes_away()
        said = await place.deliver(Parcel(b"letter", name="two"))
        assert said.verdict in (Verdict.RETRY, Verdict.UNKNOWN)

    @pytest.mark.parametrize("in_parts", [False, True])
    async def test_bytes_that_are_not_the_ones_taken_in_are_never_a_whole_document(self, place: ConnectorPlace, in_parts: bool) -> None:
        said = await place.deliver(Parcel(b"x" * 600_000, corrupted=True, in_parts=in_parts))
        assert said.raised
        assert place.arrived() == []

    async def test_a_cancelled_call_leaves_nothing_behind_that_the_next_one_could_take_for_its_answer(self, place: ConnectorPlace) -> None:
        place.behave(Conduct.SAYS_NOTHING, Conduct.REFUSES)
        call = asyncio.ensure_future(place.deliver(Parcel(b"letter", name="one")))
        await asyncio.wait({call}, timeout=SHORT_CALL_SECONDS)
        call.cancel()
        await asyncio.wait({call})
        assert (await place.deliver(Parcel(b"letter", name="two"))).verdict is Verdict.REFUSED
