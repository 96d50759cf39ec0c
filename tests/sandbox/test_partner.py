"""Attacks the partner programs: do they recognise repeats, disbelieve what is forged, follow their script and stay within their memory?"""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from relais.sandbox import partner as partner_module
from relais.sandbox.configuration import ConfigurationWrong, SandboxConfiguration
from relais.sandbox.partner import Behaviour, Partner, Received, script_of
from relais.sandbox.server import OutsideWorld, PartnerSite
from relais.sandbox.verification import SharedKeys

SECRET = b"k" * 32


@pytest.fixture
async def world() -> AsyncIterator[OutsideWorld]:
    keys = SharedKeys(signing={"one": SECRET}, sealing={})
    made = OutsideWorld({"lab": PartnerSite(Partner("lab"), keys), "open": PartnerSite(Partner("open"), None)})
    await made.start("127.0.0.1", 0, 0, None)
    yield made
    await made.stop()


def signed(url: str, body: bytes, **changes: str) -> dict[str, str]:
    digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
    headers = {
        "content-digest": f"sha-256=:{digest}:",
        "content-type": "application/xml",
        "idempotency-key": '"key-1"',
        "ce-id": "key-1",
        "ce-subject": "doc",
    }
    covered = ("@method", "@target-uri", *headers)
    parameters = f'({" ".join(json.dumps(name) for name in covered)});created={int(time.time())};keyid="one";alg="hmac-sha256"'
    values = {"@method": "POST", "@target-uri": url, **headers}
    base = "".join(f'"{name}": {values[name]}\n' for name in covered) + f'"@signature-params": {parameters}'
    signature = base64.b64encode(hmac.digest(SECRET, base.encode(), "sha256")).decode()
    return {**headers, "signature-input": f"x={parameters}", "signature": f"x=:{signature}:", **changes}


async def post(world: OutsideWorld, name: str, body: bytes, headers: dict[str, str]) -> tuple[int, str]:
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"http://127.0.0.1:{world.port}/{name}", data=body, headers=headers) as answer,
    ):
        return answer.status, answer.headers.get("Idempotent-Replayed", "")


async def control(world: OutsideWorld, method: str, path: str, wish: object = None) -> tuple[int, object]:
    address = f"http://127.0.0.1:{world.control_port}{path}"
    async with aiohttp.ClientSession() as session, session.request(method, address, json=wish) as answer:
        return answer.status, await answer.json() if answer.content_type == "application/json" else await answer.text()


async def test_what_is_signed_is_kept_once_and_a_repeat_is_told_so(world: OutsideWorld) -> None:
    url = f"http://127.0.0.1:{world.port}/lab"
    assert await post(world, "lab", b"<a/>", signed(url, b"<a/>")) == (200, "")
    assert await post(world, "lab", b"<a/>", signed(url, b"<a/>")) == (200, "true")
    (entry,) = world.partner("lab").received()
    assert (entry.key, entry.times, entry.body) == ("key-1", 2, b"<a/>")
    assert world.partner("lab").counts() == {"calls": 2, "documents": 1, "repeats": 1, "disbelieved": []}


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"content-digest": "sha-256=:AAAA:"}, "DIGEST_DIFFERS"),
        ({"idempotency-key": '"key-2"'}, "SIGNATURE_DIFFERS"),
        ({"signature": "x=:AAAA:"}, "SIGNATURE_DIFFERS"),
        ({"signature-input": "x=()"}, "SIGNATURE_INCOMPLETE"),
        ({"relais-recipient": "added"}, "SIGNATURE_INCOMPLETE"),
    ],
)
async def test_what_is_forged_is_not_kept(world: OutsideWorld, changes: dict[str, str], code: str) -> None:
    url = f"http://127.0.0.1:{world.port}/lab"
    status, _ = await post(world, "lab", b"<a/>", signed(url, b"<a/>", **changes))
    assert status == 400
    assert world.partner("lab").disbelieved == [code]
    assert world.partner("lab").received() == []


async def test_a_script_gives_a_fault_a_fault_and_then_success(world: OutsideWorld) -> None:
    digest = base64.b64encode(hashlib.sha256(b"<a/>").digest()).decode()
    headers = {"content-digest": f"sha-256=:{digest}:", "idempotency-key": '"k"'}
    assert (await control(world, "PUT", "/partners/open/script", {"first": ["unavailable", "refuse"], "then": "ok"}))[0] == 200
    assert [(await post(world, "open", b"<a/>", headers))[0] for _ in range(4)] == [503, 422, 200, 200]
    status, said = await control(world, "GET", "/partners")
    assert status == 200
    assert isinstance(said, dict)
    assert said["open"] == {"calls": 4, "documents": 1, "repeats": 1, "disbelieved": []}


async def test_the_control_port_shows_what_arrived_and_never_a_body(world: OutsideWorld) -> None:
    url = f"http://127.0.0.1:{world.port}/lab"
    await post(world, "lab", b"<secret/>", signed(url, b"<secret/>"))
    _, listed = await control(world, "GET", "/partners/lab/received")
    assert isinstance(listed, list)
    assert (listed[0]["key"], listed[0]["size"]) == ("key-1", 9)
    assert "secret" not in json.dumps(listed)
    assert await control(world, "GET", "/partners/lab/received?offset=1") == (200, [])
    await control(world, "DELETE", "/partners/lab/received")
    assert world.partner("lab").counts()["calls"] == 0
    assert (await control(world, "GET", "/partners/nobody/received"))[0] == 404
    assert (await control(world, "PUT", "/partners/lab/script", {"then": "dance"}))[0] == 400


def test_a_partner_forgets_old_bodies_before_it_runs_out_of_memory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(partner_module, "BODIES_BYTES_MAXIMUM", 250)
    partner = Partner("lab", folder=tmp_path)
    for number in range(5):
        partner.keep(Received(key=str(number), document="d", sha256="h", size=100), b"x" * 100)
    assert [entry.body is not None for entry in partner.received()] == [False, False, False, True, True]
    assert len(list(tmp_path.iterdir())) == 5


def test_a_script_takes_only_words_it_knows() -> None:
    script = script_of(["hang", "reset"], "ok", 2.0)
    assert [script.next() for _ in range(4)] == [Behaviour.HANG, Behaviour.RESET, Behaviour.OK, Behaviour.OK]
    with pytest.raises(ValueError, match="dance"):
        script_of(["dance"], "ok", 1.0)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("port = 1\ncontrol_port = 2\ncertificate_file = 'c'\nprivate_key_file = 'k'\n", "'partner'"),
        ("port = 1\ncontrol_port = 2\ncertificate_file = 'c'\nprivate_key_file = 'k'\n[[partner]]\nid = 'a'\nthen = 'dance'\n", "dance"),
        ("port = 1\ncontrol_port = 2\ncertificate_file = 'c'\nprivate_key_file = 'k'\n[[partner]]\nid = 'a'\nfirst = 'ok'\n", "partner a"),
    ],
)
def test_a_wrong_configuration_is_told_by_name(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "sandbox.toml"
    file.write_text(text)
    with pytest.raises(ConfigurationWrong, match=said):
        SandboxConfiguration(file)
