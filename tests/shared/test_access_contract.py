"""Attacks the contract itself: no method without a permission and a tenant, no list without pages, no error without its sentences."""

import importlib
import pkgutil
from collections.abc import Iterator
from pathlib import Path

import google.rpc.status_pb2
import pytest
from google.protobuf.descriptor import FieldDescriptor, MethodDescriptor, ServiceDescriptor

import relais.api
from relais.chassis.api.methods import MethodRule, Scope, permission_value, permission_word, permission_words, rules_of

PROTO = Path(__file__).resolve().parents[2] / "proto"
# Frames of streams of requests carry their tenant inside; the handler asks `tenant_of` for each.
STREAMED = {"UploadDocumentRequest", "SubmitDocumentsRequest"}


def services() -> Iterator[ServiceDescriptor]:
    for module in pkgutil.walk_packages(relais.api.__path__, "relais.api."):
        if module.name.endswith("_pb2"):
            yield from importlib.import_module(module.name).DESCRIPTOR.services_by_name.values()


METHODS = [method for service in services() for method in service.methods]
RULES = rules_of(services())


def rule_of(method: MethodDescriptor) -> MethodRule:
    return RULES[f"/{method.containing_service.full_name}/{method.name}"]


def test_there_are_methods_to_look_at() -> None:
    assert len(METHODS) > 40


@pytest.mark.parametrize("method", METHODS, ids=lambda method: str(method.full_name))
def test_a_method_names_its_permission_and_what_its_request_is_about(method: MethodDescriptor) -> None:
    rule = rule_of(method)
    assert rule.permission in permission_words()
    if rule.scope is Scope.TENANT:
        assert rule.named_by
        assert not method.client_streaming
    if rule.scope is Scope.CREDENTIAL and method.client_streaming:
        assert method.input_type.name in STREAMED


@pytest.mark.parametrize("method", [one for one in METHODS if one.name.startswith("List")], ids=lambda method: str(method.full_name))
def test_a_list_has_pages(method: MethodDescriptor) -> None:
    assert {"page_size", "page_token"} <= set(method.input_type.fields_by_name)
    assert "next_page_token" in method.output_type.fields_by_name
    assert not method.server_streaming


def test_permission_words_and_values_are_each_others_inverse() -> None:
    for word in permission_words():
        assert permission_word(permission_value(word)) == word
    with pytest.raises(ValueError, match="no value defined"):
        permission_value("UNHEARD_OF")


def test_every_flag_of_the_volet_is_an_enum_that_can_be_undecided() -> None:
    from relais.api.ingestion.v1 import submission_pb2
    from relais.contracts.submission import Flags

    fields = submission_pb2.Flags.DESCRIPTOR.fields
    assert [field.name for field in fields] == list(Flags.__struct_fields__)
    for field in fields:
        assert field.type == FieldDescriptor.TYPE_ENUM
        assert field.enum_type is not None
        assert field.enum_type.values_by_number[0].name == "FLAG_UNSPECIFIED"


def test_the_googleapis_files_are_those_of_the_installed_package() -> None:
    installed = Path(google.rpc.status_pb2.__file__).parents[2]
    files = list((PROTO / "third_party").rglob("*.proto"))
    assert files
    for file in files:
        assert file.read_bytes() == (installed / file.relative_to(PROTO / "third_party")).read_bytes()
