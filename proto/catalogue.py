"""The error catalogue, ERRORS.md, from what stands beside each reason in error_reason.proto: `catalogue.py write`, or `check`."""

import sys
from pathlib import Path

from google.rpc import code_pb2

from relais.api.access.v1 import error_reason_pb2

CATALOGUE = Path(__file__).parent / "ERRORS.md"
HEAD = """# Errors

Generated from `src/relais/api/access/v1/error_reason.proto`; `make proto` writes it anew. Every error is a `google.rpc.Status` with an
`ErrorInfo` whose domain is `relais` and whose `reason` is the word below. *Again* says whether repeating the call can help: **yes**, after
the delay in `RetryInfo` where there is one and with the same `request_id`; **no**, the same gets the same answer until something changes.

| Reason | Code | Again | What happened, what to do | En français |
|---|---|---|---|---|
"""
_AGAIN = {code_pb2.UNAVAILABLE, code_pb2.RESOURCE_EXHAUSTED}


def catalogue() -> str:
    """The whole page."""
    enum = error_reason_pb2.ErrorReason.DESCRIPTOR
    rows = []
    for value in enum.values:
        if value.number == 0:
            continue
        explanation = value.GetOptions().Extensions[error_reason_pb2.explanation]
        reason = value.name.removeprefix("ERROR_REASON_")
        again = "yes" if explanation.code in _AGAIN else "no"
        cells = (f"`{reason}`", code_pb2.Code.Name(explanation.code), again, _cell(explanation.english), _cell(explanation.french))
        rows.append(f"| {' | '.join(cells)} |\n")
    return HEAD + "".join(rows)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def main(arguments: list[str]) -> int:
    """Exit status: 0 written or unchanged, 1 the page is not what the contract says, 2 usage."""
    match arguments:
        case ["write"]:
            CATALOGUE.write_text(catalogue(), "utf-8")
            return 0
        case ["check"]:
            if CATALOGUE.exists() and CATALOGUE.read_text("utf-8") == catalogue():
                return 0
            sys.stderr.write("proto/ERRORS.md differs from the contract: run make proto\n")
            return 1
        case _:
            sys.stderr.write("usage: catalogue.py write|check\n")
            return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
