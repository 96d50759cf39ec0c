"""Attacks what callers are told: one ErrorInfo, both languages, no value; and the paging, filters and names that all lists share."""

import asyncpg
import pytest
from google.rpc import error_details_pb2
from hypothesis import given
from hypothesis import strategies as st

from relais.api.access.v1.error_reason_pb2 import ErrorReason
from relais.chassis.api.errors import ApiError, FieldsInvalid, FieldViolation, catalogue, explain, reason_named
from relais.chassis.api.filters import Term, parse_filter
from relais.chassis.api.names import credential_name, delivery_name, is_slug, parse_name
from relais.chassis.api.pages import PageTokens, page_size
from relais.chassis.api.translation import to_api_error
from relais.eventlog.log import LogUnavailable, OutcomeUnknown, Overloaded
from relais.transport.bus import BusUnavailable
from relais.vault.vault import SubjectErased, VaultUnavailable

CREDENTIAL = "tenants/{tenant}/credentials/{credential}"
FIELDS = {"state": frozenset({"="}), "receive_time": frozenset({">=", "<"})}


def test_every_reason_has_a_code_and_both_sentences() -> None:
    entries = catalogue()
    assert len(entries) == len(ErrorReason.values()) - 1
    for entry in entries:
        assert entry.code != 0, entry.word
        assert entry.english.endswith("."), entry.word
        assert entry.french.endswith("."), entry.word
        assert entry.english != entry.french


def test_a_status_holds_one_error_info_first_and_its_french_sentence() -> None:
    status = ApiError(ErrorReason.ERROR_REASON_ETAG_MISMATCH).status()
    info, french = error_details_pb2.ErrorInfo(), error_details_pb2.LocalizedMessage()
    assert status.details[0].Unpack(info)
    assert status.details[1].Unpack(french)
    assert (info.reason, info.domain) == ("ETAG_MISMATCH", "relais")
    assert french.message == explain(ErrorReason.ERROR_REASON_ETAG_MISMATCH).french
    assert len(status.details) == 2


def test_only_what_may_be_tried_again_says_when() -> None:
    retry = error_details_pb2.RetryInfo()
    told = ApiError(ErrorReason.ERROR_REASON_OVERLOADED, retry_seconds=0.25).status().details
    assert any(detail.Unpack(retry) for detail in told)
    assert retry.retry_delay.ToMilliseconds() == 250
    assert not any(detail.Unpack(retry) for detail in ApiError(ErrorReason.ERROR_REASON_NOT_XML).status().details)


def test_fields_at_fault_are_each_named_with_their_reason() -> None:
    error = FieldsInvalid(
        [
            FieldViolation("submission.flags.masque_ps", ErrorReason.ERROR_REASON_FLAG_UNSPECIFIED),
            FieldViolation("submission.site", ErrorReason.ERROR_REASON_SITE_UNKNOWN),
        ]
    )
    bad = error_details_pb2.BadRequest()
    assert error.status().details[-1].Unpack(bad)
    assert [(one.field, one.reason) for one in bad.field_violations] == [
        ("submission.flags.masque_ps", "FLAG_UNSPECIFIED"),
        ("submission.site", "SITE_UNKNOWN"),
    ]
    assert explain(error.reason).word == "FIELD_INVALID"
    assert explain(FieldsInvalid(error.violations[:1]).reason).word == "FLAG_UNSPECIFIED"


def test_a_reason_is_found_by_a_domains_own_word() -> None:
    assert reason_named("MASKING_LOOSENED") == ErrorReason.ERROR_REASON_MASKING_LOOSENED
    with pytest.raises(ValueError, match="no value defined"):
        reason_named("INVENTED")


@pytest.mark.parametrize(
    ("error", "word"),
    [
        (LogUnavailable(), "SERVICE_UNAVAILABLE"),
        (BusUnavailable(), "SERVICE_UNAVAILABLE"),
        (VaultUnavailable(), "SERVICE_UNAVAILABLE"),
        (ConnectionResetError(), "SERVICE_UNAVAILABLE"),
        (TimeoutError(), "SERVICE_UNAVAILABLE"),
        (asyncpg.CannotConnectNowError(), "SERVICE_UNAVAILABLE"),
        (asyncpg.TooManyConnectionsError(), "OVERLOADED"),
        (Overloaded(2.0), "OVERLOADED"),
        (OutcomeUnknown(), "OUTCOME_UNKNOWN"),
        (SubjectErased(), "SUBJECT_ERASED"),
        (KeyError("Zéphyrine"), "INTERNAL"),
    ],
)
def test_the_worlds_faults_may_be_tried_again_and_ours_say_nothing(error: Exception, word: str) -> None:
    told = to_api_error(error, "/m", lambda _: None)
    assert told.explanation.word == word
    assert "Zéphyrine" not in str(told.status())


def test_a_services_own_translation_comes_first() -> None:
    told = to_api_error(KeyError(), "/m", lambda _: ApiError(ErrorReason.ERROR_REASON_STATE_CONFLICT))
    assert told.explanation.word == "STATE_CONFLICT"


def test_a_page_token_goes_on_where_the_page_ended() -> None:
    tokens = PageTokens(b"secret")
    token = tokens.make(("ListDocuments", "chu", ""), ("2026-03-01", "d1"))
    assert tokens.read(token, ("ListDocuments", "chu", ""), tuple[str, str]) == ("2026-03-01", "d1")
    assert tokens.read("", ("ListDocuments", "chu", ""), tuple[str, str]) is None
    assert "2026" not in token


def refused(call: object) -> str:
    with pytest.raises(ApiError) as caught:
        call()  # type: ignore[operator]
    return caught.value.explanation.word


@pytest.mark.parametrize("change", [("ListDocuments", "clinic", ""), ("ListDocuments", "chu", "state = HELD"), ("ListHeld", "chu", "")])
def test_a_page_token_is_good_for_its_own_list_only(change: tuple[str, str, str]) -> None:
    tokens = PageTokens(b"secret")
    token = tokens.make(("ListDocuments", "chu", ""), 7)
    assert refused(lambda: tokens.read(token, change, int)) == "PAGE_TOKEN_INVALID"
    assert refused(lambda: PageTokens(b"other").read(token, ("ListDocuments", "chu", ""), int)) == "PAGE_TOKEN_INVALID"
    assert refused(lambda: tokens.read(token, ("ListDocuments", "chu", ""), str)) == "PAGE_TOKEN_INVALID"


@given(st.text(max_size=3000))
def test_anything_else_is_no_page_token(text: str) -> None:
    if text:
        assert refused(lambda: PageTokens(b"secret").read(text, (), int)) == "PAGE_TOKEN_INVALID"


def test_page_sizes_have_a_default_and_a_maximum() -> None:
    assert (page_size(0), page_size(7), page_size(10**6)) == (50, 7, 500)
    assert refused(lambda: page_size(-1)) == "FIELD_INVALID"


def test_a_filter_is_terms_joined_by_and() -> None:
    assert parse_filter("", FIELDS) == []
    assert parse_filter('state = HELD AND receive_time>="2026-01-01T00:00:00Z" AND state="a \\"b\\""', FIELDS) == [
        Term("state", "=", "HELD"),
        Term("receive_time", ">=", "2026-01-01T00:00:00Z"),
        Term("state", "=", 'a "b"'),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "state",
        "state = ",
        "state > HELD",
        "patient = x",
        "state = HELD OR state = DONE",
        "state = HELD AND",
        "state = HELD ANDstate = DONE",
        "state = HELD state = DONE",
        'state = "HELD',
        "state = HELD; DROP",
        " AND ".join(["state = HELD"] * 17),
        "state = " + "x" * 1000,
    ],
)
def test_another_filter_is_refused(text: str) -> None:
    assert refused(lambda: parse_filter(text, FIELDS)) == "FILTER_INVALID"


def test_names_are_made_and_read_alike() -> None:
    for credential in ("x509:" + "ab" * 32, "jwt:https://issuer.test/realm:a%3Ab", "jwt:é:ü"):
        name = credential_name("chu", credential)
        assert parse_name(name, CREDENTIAL) == ("chu", credential)
    assert parse_name(delivery_name("chu", "d", 3), "tenants/{tenant}/documents/{document}/deliveries/{ordinal}") == ("chu", "d", "3")


@pytest.mark.parametrize("name", ["", "tenants/chu", "tenants/chu/credentials/", "tenants/chu/credentials/a/b", "x" * 2000])
def test_a_name_of_another_form_is_refused_with_its_field(name: str) -> None:
    with pytest.raises(FieldsInvalid) as caught:
        parse_name(name, CREDENTIAL, "parent")
    assert caught.value.violations == (FieldViolation("parent", ErrorReason.ERROR_REASON_RESOURCE_NAME_INVALID),)


def test_slugs() -> None:
    assert all(map(is_slug, ("a", "chu-nord", "0", "a" * 63)))
    assert not any(map(is_slug, ("", "-a", "a-", "A", "a_b", "é", "a" * 64, "a/b", "*")))
