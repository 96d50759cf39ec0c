"""Runs what the client's README shows, against the platform of the tests."""

import re
from pathlib import Path

from relais.contracts.submission import DeclaredIdentity
from tests.client.given import FLAGS, submission
from tests.client.platform_server import Platform

README = Path(__file__).parents[2] / "shared" / "src" / "relais" / "client" / "README.md"


async def test_the_readmes_program_sends_documents(platform: Platform) -> None:
    [program] = re.findall(r"```python\n(.*?)```", README.read_text("utf-8"), re.DOTALL)
    names: dict[str, object] = {}
    exec(compile(program, "README.md", "exec"), names)
    send = names["send"]
    assert callable(send)
    patient: DeclaredIdentity = submission().patient
    documents = await send(platform.settings(), patient, FLAGS, [b"<a/>", b"<b/>"])
    assert sorted(documents) == sorted(platform.state.documents)
