"""Attacks the promise that adding a site is one command and no restart."""

import os
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import pytest

from relais.client.client import RelaisClient
from relais.client.errors import Invalid
from relais.demo.cast import Parcel
from relais.demo.establishment import wait_until_known
from relais.embedded.documents import OPERATOR
from relais.embedded.stack import Stack
from relais.sandbox.cda import generate
from tests.journey.given import submission_of
from tests.journey.hospital import Hospital, let_in, outcome

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]

COMMAND_SECONDS = 60


def relais(hospital: Hospital, *arguments: str) -> str:
    """The `relais` command, as an administrator types it."""
    program = Path(sys.executable).with_name("relais")
    context = hospital.stack.state.configuration / "context.toml"
    ran = subprocess.run(
        [str(program), "--context", str(context), "--tenant", hospital.tenant, "--as", OPERATOR, *arguments],
        env={**os.environ, "RELAIS_CONFIG": str(hospital.stack.state.root / "cli")},
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def processes(stack: Stack) -> dict[str, tuple[int | None, int]]:
    return {part.name: (part.pid, part.restarts) for part in stack.report().parts}


async def test_a_site_that_was_added_by_one_command_sends_at_once_and_nothing_was_restarted(hospital: Hospital) -> None:
    site, before = f"site-{uuid4().hex[:8]}", processes(hospital.stack)
    whole_tenant = hospital.certificate("whole-tenant")
    async with hospital.as_operator() as operator:
        # A system that sends for every site of its tenant, as a group's common software does.
        await let_in(operator, whole_tenant, "", "DOCUMENT_SUBMIT", "DOCUMENT_READ")
    document = generate(2001)
    submission = submission_of(document, site=site)
    async with RelaisClient(hospital.settings(whole_tenant)) as sender:
        await wait_until_known(
            hospital.settings(whole_tenant),
            Parcel(name="probe", submission=submission_of(document), body=document.body),
        )
        with pytest.raises(Invalid) as refused:
            await sender.documents.submit(submission, document.body)
        assert refused.value.reason == "SITE_UNKNOWN"

        said = relais(hospital, "site", "add", site, "--group", "group-a", "--finess-ej", "990000001", "--finess-eg", "990000043")

        assert site in said
        await wait_until_known(hospital.settings(whole_tenant), Parcel(name=site, submission=submission, body=document.body))
        receipt = await sender.documents.submit(submission, document.body)
        done = await outcome(sender, receipt.document, "DONE")
    assert done.site == site
    assert {each.outcome for each in done.destinations} == {"SUCCEEDED"}
    assert processes(hospital.stack) == before
