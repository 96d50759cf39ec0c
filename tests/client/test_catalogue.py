"""Attacks the error catalogue: it must be what the contract says, and every reason must say what happened and what to do."""

import subprocess
import sys
from pathlib import Path

import pytest
from google.protobuf.descriptor import EnumValueDescriptor
from google.rpc import code_pb2

from relais.api.access.v1 import error_reason_pb2

PROTO = Path(__file__).parents[2] / "proto"
REASONS = [value for value in error_reason_pb2.ErrorReason.DESCRIPTOR.values if value.number]


def test_the_catalogue_is_what_the_contract_says() -> None:
    ran = subprocess.run([sys.executable, str(PROTO / "catalogue.py"), "check"], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr


@pytest.mark.parametrize("reason", REASONS, ids=lambda reason: reason.name.removeprefix("ERROR_REASON_"))
def test_every_reason_says_in_two_languages_what_happened(reason: EnumValueDescriptor) -> None:
    explanation = reason.GetOptions().Extensions[error_reason_pb2.explanation]
    assert explanation.code != code_pb2.OK
    assert explanation.english.endswith(".")
    assert explanation.french.endswith(".")
    assert explanation.english != explanation.french
