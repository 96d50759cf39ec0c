"""The part of AIP-160 that lists understand: terms over named fields, joined by AND."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from relais.api.access.v1.error_reason_pb2 import ErrorReason
from relais.chassis.api.errors import ApiError

FILTER_CHARACTERS_MAXIMUM = 1000
TERMS_MAXIMUM = 16

_TERM = re.compile(r'\s*([a-z_]+)\s*(>=|<=|=|<|>)\s*("(?:[^"\\]|\\["\\])*"|[A-Za-z0-9_.:+@/-]+)\s*')
_AND = re.compile(r"AND\b")


@dataclass(frozen=True, slots=True)
class Term:
    """One term: a field, an operator, a value without its quotes."""

    field: str
    operator: str
    value: str


def parse_filter(text: str, fields: Mapping[str, frozenset[str]]) -> list[Term]:
    """The terms of a filter, which may be empty. `fields` are the names it may use, each with its operators.

    Raises `ApiError` with FILTER_INVALID.

    >>> parse_filter('state = HELD AND site = "north"', {"state": frozenset({"="}), "site": frozenset({"="})})
    [Term(field='state', operator='=', value='HELD'), Term(field='site', operator='=', value='north')]
    """
    if not text.strip():
        return []
    terms: list[Term] = []
    place = 0
    while True:
        match = _TERM.match(text, place) if len(text) <= FILTER_CHARACTERS_MAXIMUM and len(terms) < TERMS_MAXIMUM else None
        if match is None or match[2] not in fields.get(match[1], ()):
            raise ApiError(ErrorReason.ERROR_REASON_FILTER_INVALID)
        terms.append(Term(match[1], match[2], _value(match[3])))
        if match.end() == len(text):
            return terms
        joint = _AND.match(text, match.end())
        if joint is None:
            raise ApiError(ErrorReason.ERROR_REASON_FILTER_INVALID)
        place = joint.end()


def _value(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text[1:-1]) if text.startswith('"') else text
