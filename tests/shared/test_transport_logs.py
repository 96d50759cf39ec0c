"""Every line that the transport can write stands in the table of references, with its level and its fields."""

import ast
from pathlib import Path

import relais.transport
from relais.chassis.references import FIELDS, REFERENCES

LEVELS = ("debug", "info", "warning", "error")


def lines() -> list[tuple[str, str, list[str]]]:
    """Level, word and fields of every call of `_log`."""
    found = []
    for file in sorted(Path(relais.transport.__path__[0]).glob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in LEVELS:
                (word,) = node.args
                assert isinstance(word, ast.Constant)
                found.append((node.func.attr, str(word.value), [keyword.arg or "**" for keyword in node.keywords]))
    return found


def test_every_line_is_in_the_table() -> None:
    written = lines()
    assert len(written) > 20
    assert [word for level, word, _ in written if word not in REFERENCES or REFERENCES[word].level != level] == []
    assert [field for _, _, fields in written for field in fields if field not in FIELDS] == []
