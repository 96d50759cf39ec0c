"""Attacks the link between a local id and an INS: it must say nothing by itself, and never let two persons share an id."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from relais.contracts.fact import Fact
from relais.contracts.identity import IdentityParked, LocalIdLinked
from relais.contracts.reasons import HoldReason
from relais.identity.domain.links import FREE, Link, Standing, evolve, mark_of, stream_of
from tests.identity.given import IDENTITY, INS

KEY, OTHER_KEY = b"k" * 32, b"o" * 32
MARKS = st.sampled_from([b"a", b"b", b"c"])


def linked(*marks: bytes) -> Link:
    link = FREE
    for mark in marks:
        link = evolve(link, LocalIdLinked(ins=mark, document="d"))
    return link


def test_a_free_local_id_takes_the_first_ins_and_knows_another_from_its_own() -> None:
    assert FREE.standing(b"a") is Standing.FREE
    assert linked(b"a").standing(b"a") is Standing.ACTIVE
    assert linked(b"a").standing(b"b") is Standing.ANOTHER


def test_a_moved_link_remembers_the_former_ins_and_a_move_back_forgets_it() -> None:
    assert linked(b"a", b"b").standing(b"a") is Standing.FORMER
    assert linked(b"a", b"b", b"a").standing(b"a") is Standing.ACTIVE
    assert linked(b"a", b"b", b"a").standing(b"b") is Standing.FORMER


@given(st.lists(MARKS, min_size=1))
def test_there_is_always_exactly_one_active_ins(marks: list[bytes]) -> None:
    link = linked(*marks)
    assert link.active == marks[-1]
    assert link.active not in link.former
    assert link.former == frozenset(marks) - {marks[-1]}
    assert link.version == len(marks)


def test_another_fact_in_the_stream_only_counts() -> None:
    other: Fact = IdentityParked(document="d", reason=HoldReason.FACT_UNREADABLE, log="l", position=1, tag="t")
    assert evolve(FREE, other) == Link(version=1)


def test_the_stream_and_the_mark_show_neither_the_local_id_nor_the_ins() -> None:
    stream, mark = stream_of(KEY, "site-a", IDENTITY), mark_of(KEY, IDENTITY)
    assert IDENTITY.local_id not in stream
    assert INS.encode() not in mark
    assert len(mark) == 32
    assert stream != stream_of(OTHER_KEY, "site-a", IDENTITY)
    assert mark != mark_of(OTHER_KEY, IDENTITY)


def test_a_local_id_belongs_to_its_authority_and_without_one_to_its_site() -> None:
    assert stream_of(KEY, "site-a", IDENTITY) == stream_of(KEY, "site-b", IDENTITY)
    unnamed = msgspec.structs.replace(IDENTITY, local_id_authority="")
    assert stream_of(KEY, "site-a", unnamed) != stream_of(KEY, "site-b", unnamed)
    assert stream_of(KEY, "site-a", msgspec.structs.replace(IDENTITY, local_id="")) == ""


def test_no_split_of_authority_and_local_id_names_the_same_stream() -> None:
    one = msgspec.structs.replace(IDENTITY, local_id_authority="1\x00", local_id="2")
    other = msgspec.structs.replace(IDENTITY, local_id_authority="1", local_id="\x002")
    assert stream_of(KEY, "s", one) != stream_of(KEY, "s", other)


def test_the_oid_is_part_of_the_ins_and_blanks_are_not() -> None:
    assert mark_of(KEY, msgspec.structs.replace(IDENTITY, ins_oid="1.2.250.1.213.1.4.10")) != mark_of(KEY, IDENTITY)
    assert mark_of(KEY, msgspec.structs.replace(IDENTITY, ins=f" {INS[:5]} {INS[5:]}")) == mark_of(KEY, IDENTITY)
    assert mark_of(KEY, msgspec.structs.replace(IDENTITY, ins="")) == b""
