"""Attacks SAFETY 14: every combination of flags, against the published table and against its former text, strict and lenient."""

import csv
import itertools
from pathlib import Path

import pytest

from relais.contracts.submission import Flags
from relais.routing.law.matrix import FORMER, LENIENT, MATRICES, NEWEST, STRICT, Mail, Reading, read_matrix

NAMES = (
    "masque_ps", "invisible_patient", "invisible_rep_legaux", "connexion_secrete", "modif_conf_code",
    "destdmp", "destmssanteps", "destmssantepat", "ack_reception", "ack_lecture_mss",
)  # fmt: skip
ALL = [Flags(**dict(zip(NAMES, values, strict=True))) for values in itertools.product((False, True), repeat=len(NAMES))]
EXCHANGES = [flags for flags in ALL if flags.destmssanteps or flags.destmssantepat]
BOTH, PROFESSIONAL, PATIENT = {Mail.PROFESSIONAL, Mail.PATIENT}, {Mail.PROFESSIONAL}, {Mail.PATIENT}
RESULTS = {"MSS to PS and to patient": BOTH, "MSS to PS only": PROFESSIONAL, "MSS to patient only": PATIENT}


def published(rows: list[dict[str, str]], flags: Flags) -> set[Mail] | None:
    """What the published table says, read here on its own: None where it says nothing."""
    for row in rows:
        fits = all(row[name.upper()] in {"*", "Y" if getattr(flags, name) else "N"} for name in NAMES if name.upper() in row)
        if fits:
            return RESULTS[row["result"]]
    return None


@pytest.mark.corpus
def test_every_combination_reads_as_the_published_table_says(corpus: Path) -> None:
    with (corpus / "valuesets" / "csv" / "mssante_flag_matrix.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    known = 0
    for flags in EXCHANGES:
        reading = read_matrix(flags, NEWEST, STRICT)
        expected = published(rows, flags)
        assert (set(reading.mails) if reading.known else None) == expected
        known += expected is not None
    # Rows 1 and 2 leave three flags open, row 3 three others; the two ACK flags are open everywhere.
    assert known == (8 + 8 + 8) * 4
    assert len(EXCHANGES) == 768


def test_the_former_text_differs_in_two_places_and_nowhere_else() -> None:
    for flags in EXCHANGES:
        now, before = read_matrix(flags, NEWEST, STRICT), read_matrix(flags, FORMER, STRICT)
        if before == now:
            continue
        row_2_masked = flags.masque_ps and flags.invisible_patient and not flags.connexion_secrete
        assert (row_2_masked and before.known and not now.known) or (flags.connexion_secrete and now.known and not before.known)
    masked = Flags(**{**dict.fromkeys(NAMES, False), "masque_ps": True, "invisible_patient": True, "destmssanteps": True})
    assert read_matrix(masked, FORMER, STRICT).row == "matrix.row_2"
    assert not read_matrix(masked, NEWEST, STRICT).known
    secret = Flags(**{**dict.fromkeys(NAMES, False), "connexion_secrete": True, "destmssanteps": True, "destmssantepat": True})
    assert read_matrix(secret, NEWEST, STRICT).row == "matrix.row_1"
    assert not read_matrix(secret, FORMER, STRICT).known


@pytest.mark.parametrize("matrix", sorted(MATRICES))
def test_lenient_only_adds_mail_to_professionals_and_never_a_patient_route(matrix: str) -> None:
    added = 0
    for flags in ALL:
        strict, lenient = read_matrix(flags, matrix, STRICT), read_matrix(flags, matrix, LENIENT)
        if strict == lenient:
            continue
        added += 1
        assert lenient == Reading("matrix.lenient", frozenset({Mail.PROFESSIONAL}), known=True)
        assert not strict.known
        assert not flags.masque_ps
        assert not flags.destmssantepat
        assert flags.destmssanteps
    assert added > 0


@pytest.mark.parametrize("mode", [STRICT, LENIENT])
@pytest.mark.parametrize("matrix", sorted(MATRICES))
def test_no_combination_ever_mails_a_patient_who_must_not_see(matrix: str, mode: str) -> None:
    for flags in ALL:
        mails = read_matrix(flags, matrix, mode).mails
        assert not (flags.invisible_patient and Mail.PATIENT in mails)
        assert not (Mail.PATIENT in mails and not flags.destmssantepat)
        assert not (Mail.PROFESSIONAL in mails and not flags.destmssanteps)


def test_dmp_alone_is_outside_the_matrix_and_legal() -> None:
    for flags in ALL:
        if not flags.destmssanteps and not flags.destmssantepat:
            assert read_matrix(flags, NEWEST, STRICT) == Reading("", frozenset(), known=True)
