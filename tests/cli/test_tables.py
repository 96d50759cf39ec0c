"""Attacks the tables: what people copy from one command to the next stands whole, however narrow the terminal."""

import pytest

from relais.cli.voice import OutputKind, Voice

DOCUMENT = "0b5a3f0e-9c1e-8d5e-9c4c-160ad0c83e10"


@pytest.mark.parametrize("columns", [60, 80, 160])
def test_the_id_of_a_document_is_never_cut(capsys: pytest.CaptureFixture[str], columns: int) -> None:
    voice = Voice(OutputKind.TABLE, width=columns)
    reason = "l'adresse du domaine patient n'est pas celle de ce patient / the address in the patient domain is not this patient's"
    voice.table(("document", "par / by", "raison / reason"), [(DOCUMENT, "routing", reason)])
    said = capsys.readouterr().out
    assert DOCUMENT in said
    # Nothing else is cut either: it goes on on the next line.
    assert "…" not in said


def test_a_table_in_a_file_is_as_wide_as_it_needs(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    Voice(OutputKind.TABLE).table(("document", "site"), [(DOCUMENT, "x" * 100)])
    assert "x" * 100 in capsys.readouterr().out
