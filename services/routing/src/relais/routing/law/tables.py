"""The published value sets that routing reads: which types and classes the DMP takes, and the class of each type.

They are versioned files of this package. A newer publication is a newer file beside the old one; a decision names the version
it was made with.
"""

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from types import MappingProxyType
from typing import Final

CLASSES_OF_TYPES: Final = "ass_x04_2024-02-23.csv"
DMP_TYPES: Final = "jdv_j66_2026.csv"
DMP_CLASSES: Final = "jdv_j57_2026.csv"

_COMMENT: Final = "#"


@dataclass(frozen=True, slots=True)
class Tables:
    """ASS_X04 (type code to class code), JDV_J66 (types of the DMP), JDV_J57 (classes of the DMP). `version` names the files."""

    class_of_type: Mapping[str, str]
    dmp_types: frozenset[str]
    dmp_classes: frozenset[str]
    version: str

    def class_of(self, type_code: str) -> str | None:
        """The class of a type where it is one that the DMP takes; never guessed (SAFETY 15)."""
        found = self.class_of_type.get(type_code)
        return found if found in self.dmp_classes else None


def read_tables() -> Tables:
    """Read the package's own tables. Raises ValueError when a file is not what it should be: this is a defect of the build."""
    classes = {row["type_code"]: row["class_code"] for row in _rows(CLASSES_OF_TYPES)}
    return Tables(
        class_of_type=MappingProxyType(classes),
        dmp_types=frozenset(row["type_code"] for row in _rows(DMP_TYPES)),
        dmp_classes=frozenset(row["class_code"] for row in _rows(DMP_CLASSES)),
        version="+".join(name.removesuffix(".csv") for name in (CLASSES_OF_TYPES, DMP_TYPES, DMP_CLASSES)),
    )


def _rows(name: str) -> Iterable[dict[str, str]]:
    text = files(__package__).joinpath("data", name).read_text("utf-8")
    rows = list(csv.DictReader(line for line in text.splitlines() if not line.startswith(_COMMENT)))
    if not rows or any(None in row.values() for row in rows):
        raise ValueError(f"the table {name} is empty or has a row of another shape")
    return rows
