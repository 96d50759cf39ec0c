"""Attacks the HTTPS connector: the published suite against a partner program over real TLS, then what is particular to HTTPS."""

import json
import ssl
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from joserfc import jwe, jwk

from relais.clock import SystemClock
from relais.contracts.submission import Recipient, RecipientKind
from relais.delivery.adapters.https.connector import HttpsConnector, HttpsSettings, answer_of
from relais.delivery.adapters.https.keys import KeysUnusable, PartnerKeys, read_keys
from relais.delivery.adapters.https.response import Response
from relais.delivery.adapters.https.signing import RecipientSealer
from relais.delivery.domain.answers import Answer, Refused, Retry, Succeeded, Unknown
from relais.sandbox.partner import Behaviour, Partner, Script
from relais.sandbox.server import OutsideWorld, PartnerSite
from relais.sandbox.verification import read_keys as read_partner_keys
from relais.testing.connector_suite import SHORT_CALL_SECONDS, Arrived, Conduct, ConnectorSuite, Parcel, Said
from tests.delivery.calls import call_of, said_by
from tests.delivery.certificates import Authority
from tests.delivery.given import document_id

CONDUCTS = {
    Conduct.TAKES: Behaviour.OK,
    Conduct.TAKES_SLOWLY: Behaviour.SLOW,
    Conduct.TAKES_AND_SAYS_NOTHING: Behaviour.SWALLOW,
    Conduct.TAKES_AND_HANGS_UP: Behaviour.RESET_AFTER,
    Conduct.SAYS_NOTHING: Behaviour.HANG,
    Conduct.HANGS_UP_IN_THE_MIDDLE: Behaviour.RESET,
    Conduct.IS_AWAY: Behaviour.UNAVAILABLE,
    Conduct.BREAKS: Behaviour.ERROR,
    Conduct.REFUSES: Behaviour.REFUSE,
    Conduct.REFUSES_US: Behaviour.FORBID,
    Conduct.SENDS_ELSEWHERE: Behaviour.REDIRECT,
    Conduct.LIES: Behaviour.LIE,
    Conduct.BABBLES: Behaviour.GARBAGE,
}
SIGNING, SEALING = b"s" * 32, b"e" * 32


def write_keys(folder: Path) -> Path:
    file = folder / "lab.jwks"
    keys = [
        {**jwk.OctKey.import_key(SIGNING).as_dict(), "kid": "lab-sign-1", "use": "sig"},
        {**jwk.OctKey.import_key(SEALING).as_dict(), "kid": "lab-seal-1", "use": "enc"},
    ]
    file.write_text(json.dumps({"keys": keys}))
    return file


@dataclass
class HttpsPlace:
    connector: HttpsConnector
    world: OutsideWorld
    partner: Partner

    async def deliver(self, parcel: Parcel) -> Said:
        return await said_by(self.connector, parcel)

    def behave(self, *conducts: Conduct) -> None:
        behaviours = [CONDUCTS[conduct] for conduct in conducts]
        self.partner.script = Script(then=behaviours.pop(), seconds=SHORT_CALL_SECONDS / 2)
        self.partner.script.first.extend(behaviours)

    def arrived(self) -> Sequence[Arrived]:
        return [
            Arrived(
                document=entry.body or b"",
                times=entry.times,
                key=entry.key,
                envelope="\n".join(f"{name}: {value}" for name, value in entry.headers.items()),
                address=entry.recipient["address"],
            )
            for entry in self.partner.received()
        ]

    async def partner_goes_away(self) -> None:
        await self.world.stop()


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def server_tls(authority: Authority, *, client_ca: Path | None = None) -> ssl.SSLContext:
    certificate, key = authority.issue("partner")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    if client_ca is not None:
        context.load_verify_locations(client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def connector_to(url: str, keys: Path, ca_file: Path, client: tuple[Path, Path] | None = None) -> HttpsConnector:
    settings = HttpsSettings(
        url=url,
        ca_file=ca_file,
        client_certificate_file=client[0] if client else None,
        client_key_file=client[1] if client else None,
        connect_timeout_seconds=2,
        source="urn:relais:test",
    )
    return HttpsConnector(settings, read_keys(keys), SystemClock())


@pytest.fixture
async def place(tmp_path: Path, authority: Authority) -> AsyncIterator[HttpsPlace]:
    keys = write_keys(tmp_path)
    partner = Partner("lab")
    world = OutsideWorld({"lab": PartnerSite(partner, read_partner_keys(keys))})
    await world.start("127.0.0.1", 0, 0, server_tls(authority))
    connector = connector_to(f"https://localhost:{world.port}/lab", keys, authority.file)
    yield HttpsPlace(connector, world, partner)
    await connector.close()
    await world.stop()


class TestHttpsConnector(ConnectorSuite):
    """The published suite."""


async def test_a_delivery_is_a_cloudevent_whose_identifiers_are_opaque(place: HttpsPlace) -> None:
    await place.deliver(Parcel(b"letter"))
    (entry,) = place.partner.received()
    expected = {
        "ce-id": f"{document_id('one')}-1",
        "ce-source": "urn:relais:test",
        "ce-type": "relais.document.v1",
        "ce-specversion": "1.0",
        "ce-subject": document_id("one"),
        "ce-time": "2026-11-23T12:00:00.000Z",
        "idempotency-key": f'"{document_id("one")}-1"',
        "content-type": "application/xml",
    }
    assert {name: entry.headers.get(name) for name in expected} == expected
    assert place.partner.disbelieved == []


async def test_a_partner_that_holds_another_key_does_not_believe_us(place: HttpsPlace, tmp_path: Path, authority: Authority) -> None:
    forged = tmp_path / "forged.jwks"
    forged.write_text((tmp_path / "lab.jwks").read_text().replace(str(jwk.OctKey.import_key(SIGNING).as_dict()["k"]), "A" * 43))
    connector = connector_to(f"https://localhost:{place.world.port}/lab", forged, authority.file)
    assert await connector.deliver(call_of(Parcel(b"letter"))) == Refused(code="400")
    assert place.partner.disbelieved == ["SIGNATURE_DIFFERS"]
    await connector.close()


async def test_a_partner_whose_certificate_is_not_signed_by_its_authority_gets_nothing(place: HttpsPlace, tmp_path: Path) -> None:
    stranger = Authority(tmp_path, "stranger")
    connector = connector_to(f"https://localhost:{place.world.port}/lab", tmp_path / "lab.jwks", stranger.file)
    assert await connector.deliver(call_of(Parcel(b"letter"))) == Retry(code="CERTIFICATE_NOT_TRUSTED")
    assert place.partner.calls == 0
    await connector.close()


async def test_a_partner_can_ask_for_our_certificate(tmp_path: Path, authority: Authority) -> None:
    keys = write_keys(tmp_path)
    partner = Partner("lab")
    world = OutsideWorld({"lab": PartnerSite(partner, read_partner_keys(keys))})
    await world.start("127.0.0.1", 0, 0, server_tls(authority, client_ca=authority.file))
    url = f"https://localhost:{world.port}/lab"
    known = connector_to(url, keys, authority.file, authority.issue("relais"))
    unknown = connector_to(url, keys, authority.file)
    assert await known.deliver(call_of(Parcel(b"letter"))) == Succeeded(status="200")
    # With TLS 1.3 the refusal comes after the client has begun to write, so nobody can say that nothing left.
    assert isinstance(await unknown.deliver(call_of(Parcel(b"letter", name="two"))), (Retry, Unknown))
    assert partner.calls == 1
    for connector in (known, unknown):
        await connector.close()
    await world.stop()


async def test_one_connection_carries_one_call_after_another(place: HttpsPlace) -> None:
    await place.deliver(Parcel(b"letter", name="first"))
    (connection,) = place.connector._client._idle
    for number in range(5):
        await place.deliver(Parcel(b"letter", name=str(number)))
    assert place.connector._client._idle == [connection]
    assert place.partner.calls == 6


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (200, Succeeded(status="200")),
        (202, Succeeded(status="202")),
        (208, Succeeded(status="208", repeat=True)),
        (301, Retry(code="301")),
        (400, Refused(code="400")),
        (401, Retry(code="401")),
        (404, Retry(code="404")),
        (408, Retry(code="408")),
        (409, Retry(code="409", endpoint_fault=False)),
        (413, Refused(code="413")),
        (422, Refused(code="422")),
        (429, Retry(code="429")),
        (500, Unknown(code="500")),
        (502, Unknown(code="502")),
        (503, Retry(code="503")),
        (504, Unknown(code="504")),
    ],
)
def test_every_status_says_one_thing(status: int, expected: Answer) -> None:
    assert answer_of(Response(status, {}, True), "sha-256=:x:") == expected


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("7", 7.0), ("999999999", None), ("99999999", 86400.0), ("Wed, 21 Oct 2026 07:28:00 GMT", None), ("-1", None), ("", None)],
)
def test_a_partner_may_ask_for_time_in_seconds(text: str, seconds: float | None) -> None:
    assert answer_of(Response(503, {"retry-after": text}, True), "") == Retry(code="503", after_seconds=seconds)


def test_any_jose_library_opens_the_recipient() -> None:
    sealer = RecipientSealer(PartnerKeys("s", SIGNING, "e", SEALING))
    token = sealer.seal(Recipient(kind=RecipientKind.PROFESSIONAL, address="dr@x", identifier="8", name="Dr É"))
    opened = jwe.decrypt_compact(token, jwk.OctKey.import_key(SEALING), algorithms=["dir", "A256GCM"])
    assert opened.plaintext is not None
    assert json.loads(opened.plaintext) == {"kind": "PROFESSIONAL", "address": "dr@x", "identifier": "8", "name": "Dr É"}
    assert sealer.seal(Recipient(kind=RecipientKind.PROFESSIONAL, address="dr@x")) != token


@pytest.mark.parametrize(
    "content",
    [
        "no json",
        '{"keys": []}',
        '{"keys": [{"kid": "a", "use": "sig", "k": "AAAA"}, {"kid": "b", "use": "enc", "k": "AAAA"}]}',
        '{"keys": [{"kid": "a", "use": "sig", "k": "%%%%"}, {"kid": "b", "use": "enc", "k": "AAAA"}]}',
        '{"keys": [{"kid": "a\\"b", "use": "sig", "k": "AAAA"}]}',
    ],
)
def test_keys_that_cannot_be_used_are_refused_without_showing_them(tmp_path: Path, content: str) -> None:
    file = tmp_path / "keys.jwks"
    file.write_text(content)
    with pytest.raises(KeysUnusable) as caught:
        read_keys(file)
    assert "AAAA" not in str(caught.value)


def test_a_call_shows_nothing_personal_when_it_is_printed() -> None:
    printed = repr(call_of(Parcel(b"<patient>SECRET</patient>")))
    assert "canary" not in printed.lower()
    assert "SECRET" not in printed
