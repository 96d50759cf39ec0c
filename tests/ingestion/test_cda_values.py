"""Attacks the small grammars of the door: Base64 in any cuts, HL7 times, and the value set of document types."""

import base64
import binascii
import csv
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relais.ingestion.cda import DocumentRefused, TimestampMalformed, is_known_type, parse_timestamp, type_label
from relais.ingestion.cda.payload import Base64Check
from relais.ingestion.cda.type_codes import JDV_J07_REVISION
from relais.sandbox.cda import DOCUMENT_TYPES

_PARIS = ZoneInfo("Europe/Paris")
_REUNION = ZoneInfo("Indian/Reunion")
_LOINC = "2.16.840.1.113883.6.1"


def _decodes(pieces: list[str]) -> bool:
    check = Base64Check("field")
    try:
        for piece in pieces:
            check.take(piece)
        check.finish()
    except DocumentRefused:
        return False
    return True


@given(st.binary(min_size=1), st.booleans(), st.data())
def test_what_an_encoder_writes_is_accepted_in_any_cuts_with_or_without_padding(content: bytes, padded: bool, data: st.DataObject) -> None:
    written = base64.encodebytes(content).decode() if data.draw(st.booleans()) else base64.b64encode(content).decode()
    written = written if padded else written.rstrip("=\n")
    assert _decodes(_cut(written, data))


@given(st.text("AQz9+/= \n-é", min_size=1, max_size=14), st.data())
def test_the_check_agrees_with_a_strict_decoder(written: str, data: st.DataObject) -> None:
    compact = written.translate({ord(blank): None for blank in " \n"})
    digits = compact.rstrip("=")
    missing = -len(digits) % 4
    try:
        binascii.a2b_base64((digits + "=" * missing).encode(), strict_mode=True)
        decodes = bool(digits) and len(compact) - len(digits) <= missing
    except ValueError:
        decodes = False
    assert _decodes(_cut(written, data)) == decodes


def _cut(written: str, data: st.DataObject) -> list[str]:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(written)), max_size=4)))
    return [written[start:end] for start, end in zip([0, *cuts], [*cuts, len(written)], strict=True)]


@pytest.mark.parametrize(
    ("written", "instant"),
    [
        ("2021", datetime(2020, 12, 31, 23, tzinfo=UTC)),
        ("202107", datetime(2021, 6, 30, 22, tzinfo=UTC)),
        ("20210714", datetime(2021, 7, 13, 22, tzinfo=UTC)),
        ("2021010416", datetime(2021, 1, 4, 15, tzinfo=UTC)),
        ("202101041605", datetime(2021, 1, 4, 15, 5, tzinfo=UTC)),
        ("20210104160527+0100", datetime(2021, 1, 4, 15, 5, 27, tzinfo=UTC)),
        ("202101040922+01", datetime(2021, 1, 4, 8, 22, tzinfo=UTC)),
        ("20210104160527-0330", datetime(2021, 1, 4, 19, 35, 27, tzinfo=UTC)),
        ("20210104160527.5", datetime(2021, 1, 4, 15, 5, 27, 500_000, tzinfo=UTC)),
        ("20210104160527.1234567+1400", datetime(2021, 1, 4, 2, 5, 27, 123_456, tzinfo=UTC)),
    ],
)
def test_a_timestamp_names_the_first_instant_it_covers(written: str, instant: datetime) -> None:
    assert parse_timestamp(written, _PARIS) == instant


def test_a_time_without_an_offset_takes_the_site_s_zone_and_one_with_an_offset_keeps_its_own() -> None:
    assert parse_timestamp("20210714120000", _REUNION) == datetime(2021, 7, 14, 8, tzinfo=UTC)
    assert parse_timestamp("20210714120000+0200", _REUNION).utcoffset() == timedelta(hours=2)


@pytest.mark.parametrize(
    "written",
    [
        "", "2", "202", "20211", "202101041", "20210104160", "2021010416052", "202101041605270", "20211301", "20210230", "19790028",
        "19793200", "00000101", "2021010425", "202101041660", "20210104160561", "20210104160527.", "202101041605.5", "20210104+0100",
        "20210104160527+", "20210104160527+1", "20210104160527+100", "20210104160527+1401", "20210104160527+0160", "20210104160527Z",
        " 20210104", "20210104\n", "٢٠٢١٠١٠٤", "2021-01-04", "-2021", "+2021", "2_021",
    ],
)  # fmt: skip
def test_what_names_no_single_instant_is_malformed_and_not_repeated(written: str) -> None:
    with pytest.raises(TimestampMalformed) as malformed:
        parse_timestamp(written, _PARIS)
    assert str(malformed.value) == "not an HL7 timestamp"


@given(st.integers(-30_000_000_000, 250_000_000_000), st.integers(-14 * 60, 14 * 60))
def test_a_written_instant_is_read_back(seconds: int, offset_minutes: int) -> None:
    local = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)).astimezone(timezone(timedelta(minutes=offset_minutes)))
    assert parse_timestamp(f"{local:%Y%m%d%H%M%S%z}", _PARIS) == local


def test_a_type_is_known_under_its_own_code_system_only() -> None:
    assert is_known_type("11502-2", _LOINC)
    assert not is_known_type("11502-2", "1.2.250.1.213.1.1.4.12")
    assert not is_known_type("11502-2", "")
    assert not is_known_type("34105-7", _LOINC)
    assert is_known_type("SYNTH", "1.2.250.1.213.1.1.4.12")
    assert type_label("11502-2", _LOINC) == "CR d'examens biologiques"
    assert type_label("34105-7", _LOINC) == ""
    assert all(is_known_type(known.code.code, known.code.system) for known in DOCUMENT_TYPES.values())


@pytest.mark.corpus
def test_the_value_set_is_the_published_one(corpus: Path) -> None:
    with (corpus / "valuesets" / "csv" / "JDV_J07_XdsTypeCode_CISIS.csv").open(encoding="utf-8", newline="") as published:
        rows = list(csv.DictReader(published))
    assert len(rows) == 114
    assert [row["code"] for row in rows if type_label(row["code"], row["codeSystem"]) != row["displayName"]] == []
    published_xml = (corpus / "valuesets" / "jdv" / "JDV_J07_XdsTypeCode_CISIS.xml").read_text(encoding="utf-8")
    assert f'dateMaj="{JDV_J07_REVISION.replace("-", "")}' in published_xml
    assert published_xml.count("<Concept ") == len(rows)


@pytest.mark.corpus
def test_one_of_the_generated_types_may_not_go_to_the_dmp(corpus: Path) -> None:
    with (corpus / "valuesets" / "csv" / "JDV_J66_TypeCode_DMP_transcribed.csv").open(encoding="utf-8", newline="") as published:
        accepted = {row["code"] for row in csv.DictReader(published)}
    assert set(DOCUMENT_TYPES) - accepted == {"29274-8"}
