"""Every tag has a golden file that decodes for ever. What is attacked: fields removed, renamed, retyped or added without a default."""

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from relais.contracts import Fact, UnknownTag, decode, encode, tags
from tests.contracts.make_golden import GOLDEN, make_missing, sample_struct

FILES = sorted(GOLDEN.glob("*.json"))


def by_name(value: Path | str) -> str:
    return value.stem if isinstance(value, Path) else value


def assert_contains(whole: Any, part: Any, where: str) -> None:
    """Everything of `part` is in `whole` unchanged; `whole` may have grown fields."""
    if isinstance(part, dict):
        assert isinstance(whole, dict), where
        for key, value in part.items():
            assert key in whole, f"{where}.{key} was removed or renamed"
            assert_contains(whole[key], value, f"{where}.{key}")
    elif isinstance(part, list):
        assert isinstance(whole, list), where
        assert len(whole) == len(part), where
        for place, (one, other) in enumerate(zip(whole, part, strict=True)):
            assert_contains(one, other, f"{where}[{place}]")
    else:
        assert whole == part, where


@pytest.mark.parametrize("tag", sorted(tags()))
def test_every_tag_has_a_golden_file(tag: str) -> None:
    assert (GOLDEN / f"{tag}.json").is_file(), "make it with: python -m tests.contracts.make_golden"


@pytest.mark.parametrize("path", FILES, ids=by_name)
def test_a_golden_file_decodes_and_nothing_of_it_is_lost(path: Path) -> None:
    stored = path.read_bytes()
    fact = decode(path.stem, stored)
    assert isinstance(fact, Fact)
    if path.stem in tags() and path.stem == fact.TAG:
        assert_contains(msgspec.json.decode(encode(fact)), msgspec.json.decode(stored), path.stem)


@pytest.mark.parametrize("path", FILES, ids=by_name)
def test_an_older_build_reads_what_a_newer_one_has_added(path: Path) -> None:
    grown = {**msgspec.json.decode(path.read_bytes()), "added_by_a_later_release": [1, {"x": None}]}
    assert decode(path.stem, msgspec.json.encode(grown)) == decode(path.stem, path.read_bytes())


@pytest.mark.parametrize("tag", sorted(tags()))
def test_a_fact_that_is_encoded_and_decoded_is_the_same_fact(tag: str) -> None:
    fact = sample_struct(tags()[tag])
    assert decode(tag, encode(fact)) == fact


@pytest.mark.parametrize("tag", sorted(tags()))
def test_a_tag_names_its_log_its_fact_and_its_version(tag: str) -> None:
    assert re.fullmatch(r"(ingestion|identity|registry|routing|delivery|access|document)\.[a-z_]+\.v[1-9][0-9]*", tag)


@pytest.mark.parametrize("tag", sorted(tags()))
def test_a_fact_is_frozen(tag: str) -> None:
    fact = sample_struct(tags()[tag])
    name = next(iter(msgspec.structs.fields(fact))).name
    with pytest.raises(AttributeError):
        setattr(fact, name, None)


def test_an_unknown_tag_is_told_apart_from_bad_bytes() -> None:
    with pytest.raises(UnknownTag) as raised:
        decode("routing.planned.v99", b"{}")
    assert raised.value.tag == "routing.planned.v99"
    with pytest.raises(msgspec.DecodeError):
        decode("identity.rejected.v1", b"{}")


def test_a_golden_file_that_exists_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "identity.rejected.v1.json").write_bytes(b"kept")
    made = make_missing(tmp_path)
    assert (tmp_path / "identity.rejected.v1.json").read_bytes() == b"kept"
    assert sorted([*made, "identity.rejected.v1"]) == sorted(tags())
    assert make_missing(tmp_path) == []
