"""Attacks the endpoints file: what is missing, misspelt, dangerous or meant for another world stops the start, by name."""

from pathlib import Path

import pytest

from relais.contracts.deployment import Deployment
from relais.delivery.adapters.endpoints_file import EndpointsRefused, read_endpoints
from tests.delivery.certificates import Authority
from tests.delivery.test_https_connector import write_keys

GOOD = """
[endpoints.lab]
deployment = "test"
url = "https://lab.example:9443/in"
keys_file = "lab.jwks"
ca_file = "ca.pem"
client_certificate_file = "us.pem"
client_key_file = "us.key"
concurrency = 4
rate_per_second = 50
deadline_seconds = 8.0
size_bytes_maximum = 1000000
retry = { delay_seconds_first = 1.0, attempts_maximum = 7 }
breaker = { failures_maximum = 3 }
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_keys(tmp_path)
    Authority(tmp_path).issue("us")
    return tmp_path


def read(folder: Path, text: str, deployment: Deployment = Deployment.TEST) -> object:
    file = folder / "endpoints.toml"
    file.write_text(text)
    return read_endpoints(file, deployment)


def test_an_endpoint_is_read_with_all_its_limits(folder: Path) -> None:
    file = folder / "endpoints.toml"
    file.write_text(GOOD)
    endpoint = read_endpoints(file, Deployment.TEST)["lab"]
    settings = endpoint.settings
    assert (settings.id, settings.connector, settings.concurrency, settings.rate_per_second) == ("lab", "https", 4, 50)
    assert (settings.deadline_seconds, settings.size_bytes_maximum) == (8.0, 1_000_000)
    assert (settings.retry.delay_seconds_first, settings.retry.attempts_maximum, settings.retry.delay_seconds_maximum) == (1.0, 7, 900.0)
    assert settings.breaker.failures_maximum == 3
    assert endpoint.https.url == "https://lab.example:9443/in"
    assert endpoint.keys.signing_id == "lab-sign-1"


def test_no_endpoint_at_all_is_a_deployment_that_delivers_nothing_yet(folder: Path) -> None:
    assert read(folder, "") == {}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (('deployment = "test"', ""), "deployment"),
        (('deployment = "test"', 'deployment = "production"'), "it belongs to production, this deployment is test"),
        (("https://", "http://"), "url is not https"),
        (("/in", "/in?patient=1"), "url is not https"),
        (("https://", "https://user:secret@"), "url is not https"),
        (("concurrency = 4", "concurrency = 0"), "concurrency"),
        (("concurrency = 4", 'concurrency = "4"'), "concurrency"),
        (("rate_per_second = 50", "rate_per_second = -1"), "rate_per_second"),
        (("deadline_seconds = 8.0", "deadline_seconds = 600.0"), "deadline_seconds"),
        (("client_key_file", "client_key"), "client_key"),
        (('client_key_file = "us.key"', ""), "go together"),
        (("us.key", "absent.key"), "certificates cannot be read"),
        (("lab.jwks", "absent.jwks"), "absent.jwks is not a readable JWK Set"),
        (("attempts_maximum", "attempts_max"), "retry has no 'attempts_max'"),
        (("failures_maximum", "failures"), "breaker has no 'failures'"),
        (("endpoints.lab", "endpoints.Lab_1"), "its id is not"),
        (('deployment = "test"', 'deployment = "test"\nconnector = "mllp"'), "no connector but https"),
    ],
)
def test_a_mistake_stops_the_start_and_says_which_endpoint_and_what(folder: Path, change: tuple[str, str], said: str) -> None:
    with pytest.raises(EndpointsRefused) as caught:
        read(folder, GOOD.replace(*change))
    assert said in str(caught.value)
    assert "endpoint '" in str(caught.value)


@pytest.mark.parametrize("text", ["[endpoints", "[other]\nx = 1", "endpoints = 3"])
def test_a_file_of_another_kind_is_refused(folder: Path, text: str) -> None:
    with pytest.raises(EndpointsRefused, match=r"endpoints\.toml"):
        read(folder, text)
    with pytest.raises(EndpointsRefused, match=r"absent\.toml"):
        read_endpoints(folder / "absent.toml", Deployment.TEST)


def test_production_refuses_a_partner_of_the_test_world(folder: Path) -> None:
    with pytest.raises(EndpointsRefused, match="it belongs to test, this deployment is production"):
        read(folder, GOOD, Deployment.PRODUCTION)
