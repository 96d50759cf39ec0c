"""The body of a synthetic document: laboratory results told twice, to people and to machines, or a PDF."""

from base64 import b64encode
from datetime import datetime
from random import Random
from typing import Final
from uuid import UUID

from relais.sandbox.cda.pdf import write_pdf

_ANALYSES: Final = (
    ("2951-2", "Sodium", "mmol/L", 135.0, 145.0),
    ("2823-3", "Potassium", "mmol/L", 3.5, 5.1),
    ("14749-6", "Glucose", "mmol/L", 3.9, 6.1),
    ("14682-9", "Créatinine", "umol/L", 45.0, 104.0),
    ("718-7", "Hémoglobine", "g/dL", 12.0, 17.5),
    ("777-3", "Plaquettes", "10*3/uL", 150.0, 400.0),
    ("6690-2", "Leucocytes", "10*3/uL", 4.0, 10.0),
    ("1988-5", "Protéine C réactive", "mg/L", 0.0, 5.0),
    ("3016-3", "Thyréostimuline", "m[IU]/L", 0.4, 4.0),
)
_SECTION_RESULTS: Final = 12
_SECTION_TAGS_BYTES: Final = 420
_FILLER: Final = "Texte d'essai sans portée clinique, là pour atteindre la taille demandée."


def structured_body(chance: Random, size_bytes: int, written_at: datetime) -> str:
    """A `component` with a structuredBody of `size_bytes`, or with one result where that is larger."""
    opening, closing = "<component>\n<structuredBody>\n", "</structuredBody>\n</component>"
    note_without_text = _section(chance, "Remarque", "<paragraph></paragraph>", "")
    room = size_bytes - len(opening) - len(closing) - _bytes(note_without_text)
    results: list[tuple[str, str]] = []
    while True:
        result = _result(chance, len(results) + 1, written_at)
        room -= sum(map(_bytes, result)) + (0 if len(results) % _SECTION_RESULTS else _SECTION_TAGS_BYTES)
        if results and room < 0:
            break
        results.append(result)
    sections = "".join(
        _results_section(chance, results[first : first + _SECTION_RESULTS]) for first in range(0, len(results), _SECTION_RESULTS)
    )
    missing = size_bytes - sum(map(_bytes, (opening, sections, note_without_text, closing)))
    note = note_without_text.replace("<paragraph>", f"<paragraph>{_filler(missing)}")
    return opening + sections + note + closing


def unstructured_body(chance: Random, size_bytes: int, lines: tuple[str, ...]) -> str:
    """A `component` with a PDF in Base64, a few bytes short of `size_bytes` at most."""
    opening = '<component>\n<nonXMLBody>\n<text mediaType="application/pdf" representation="B64">'
    closing = "</text>\n</nonXMLBody>\n</component>"
    room = size_bytes - len(opening) - len(closing)
    return opening + b64encode(write_pdf(lines, room // 4 * 3, chance)).decode("ascii") + closing


def _results_section(chance: Random, results: list[tuple[str, str]]) -> str:
    rows = "".join(row for row, _ in results)
    table = f"<table>\n<thead>\n<tr><th>Analyse</th><th>Résultat</th><th>Référence</th></tr>\n</thead>\n<tbody>\n{rows}</tbody>\n</table>"
    return _section(chance, "Résultats", table, "".join(entry for _, entry in results))


def _section(chance: Random, title: str, narrative: str, entries: str) -> str:
    return f"""<component>
<section>
<id root="{_uuid(chance)}"/>
<code code="30954-2" codeSystem="2.16.840.1.113883.6.1" displayName="Résultats d'examens"/>
<title>{title}</title>
<text>
{narrative}
</text>
{entries}</section>
</component>
"""


def _result(chance: Random, number: int, written_at: datetime) -> tuple[str, str]:
    """One result: its row for people and its entry for machines, which refers to the row."""
    code, name, unit, low, high = chance.choice(_ANALYSES)
    value = f"{chance.uniform(low * 0.8, high * 1.2):.2f}"
    row = f'<tr ID="r{number}"><td>{name}</td><td>{value} {unit}</td><td>{low:g} - {high:g}</td></tr>\n'
    entry = f"""<entry>
<observation classCode="OBS" moodCode="EVN">
<templateId root="1.3.6.1.4.1.19376.1.3.1.6"/>
<templateId root="1.3.6.1.4.1.19376.1.5.3.1.4.13"/>
<templateId root="1.2.250.1.213.1.1.3.80"/>
<id root="{_uuid(chance)}"/>
<code code="{code}" codeSystem="2.16.840.1.113883.6.1" codeSystemName="LOINC" displayName="{name}">
<translation code="{code}" codeSystem="2.999.1.2" codeSystemName="Catalogue du laboratoire" displayName="{name} (dosage)"/>
</code>
<text><reference value="#r{number}"/></text>
<statusCode code="completed"/>
<effectiveTime value="{written_at:%Y%m%d%H%M%S%z}"/>
<value xsi:type="PQ" value="{value}" unit="{unit}"/>
<methodCode code="SPECTRO" codeSystem="2.999.1.3" codeSystemName="Techniques du laboratoire" displayName="Spectrophotométrie"/>
<referenceRange>
<observationRange>
<value xsi:type="IVL_PQ"><low value="{low:g}" unit="{unit}"/><high value="{high:g}" unit="{unit}"/></value>
<interpretationCode code="N" codeSystem="2.16.840.1.113883.5.83" codeSystemName="ObservationInterpretation" displayName="Normal"/>
</observationRange>
</referenceRange>
</observation>
</entry>
"""
    return row, entry


def _filler(size_bytes: int) -> str:
    sentence = f"{_FILLER} "
    whole, rest = divmod(max(size_bytes, 0), _bytes(sentence))
    return sentence * whole + "." * rest


def _uuid(chance: Random) -> str:
    return str(UUID(int=chance.getrandbits(128), version=4)).upper()


def _bytes(written: str) -> int:
    return len(written.encode())
