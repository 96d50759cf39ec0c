"""Attacks metrics and traces: only what the table holds is counted, what is not traced costs nothing, no span quotes an exception."""

import json
import re
import urllib.request
from pathlib import Path

import pytest

from relais.chassis.config import Address, TelemetryConfig
from relais.chassis.metrics import Metrics, MetricsServer, UnknownMetric
from relais.chassis.metrics_table import METRICS
from relais.chassis.tracing import Tracing, current_traceparent, parse_traceparent

INBOUND = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
CANARY = "Zéphyrine Canari-Témoin"


def test_metrics_are_served_on_a_port_of_their_own() -> None:
    metrics = Metrics()
    metrics.counter("relais_parked_total", "routing", "FACT_UNREADABLE").inc()
    metrics.gauge("relais_ready").set(1)
    server = MetricsServer(metrics, Address("127.0.0.1", 0))
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/metrics", timeout=5) as response:
            text = response.read().decode()
    finally:
        server.close()
    assert 'relais_parked_total{consumer="routing",reason="FACT_UNREADABLE"} 1.0' in text
    assert "relais_ready 1.0" in text
    assert "process_cpu_seconds_total" in text


def test_a_metric_outside_the_table_or_of_another_kind_is_a_mistake() -> None:
    metrics = Metrics()
    for ask in (metrics.counter, metrics.gauge, metrics.histogram):
        with pytest.raises(UnknownMetric):
            ask("relais_patients_total")
    with pytest.raises(UnknownMetric):
        metrics.gauge("relais_parked_total", "a", "b")


def test_no_label_tells_a_tenant_a_site_or_a_document_apart() -> None:
    assert len({metric.name for metric in METRICS}) == len(METRICS)
    for metric in METRICS:
        assert re.fullmatch(r"relais_[a-z_]+", metric.name)
        assert not {"tenant", "site", "document", "sender", "patient"} & set(metric.labels)


def tracing(folder: Path, sample: float = 1.0, *, file: bool = True) -> Tracing:
    trace_file = folder / "spans.jsonl" if file else None
    return Tracing.start(
        "routing", "routing-1", TelemetryConfig(log_level="info", trace_sample=sample, trace_file=trace_file, trace_endpoint=None)
    )


def spans(folder: Path) -> list[dict[str, object]]:
    text = (folder / "spans.jsonl").read_text()
    assert CANARY not in text
    return [json.loads(line) for line in text.splitlines()]


def test_a_root_gives_the_context_that_facts_carry_and_links_the_callers_own(tmp_path: Path) -> None:
    traces = tracing(tmp_path)
    with traces.root("submit", INBOUND) as traceparent:
        assert current_traceparent() == traceparent
    assert current_traceparent() == ""
    traces.close()
    (span,) = spans(tmp_path)
    assert traceparent == f"00-{span['trace']}-{span['span']}-01"
    assert span["parent"] == ""
    assert span["links"] == ["0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331"]
    assert span["trace"] != "0af7651916cd43dd8448eb211c80319c"


@pytest.mark.parametrize(("sample", "file"), [(0.0, True), (1.0, False)])
def test_what_is_not_sampled_or_not_exported_has_no_context(tmp_path: Path, sample: float, file: bool) -> None:
    traces = tracing(tmp_path, sample, file=file)
    with traces.root("submit") as traceparent, traces.hop("route", [""]):
        assert traceparent == current_traceparent() == ""
    traces.close()
    assert not (tmp_path / "spans.jsonl").exists()


def test_a_batch_of_one_journey_is_its_child_and_of_several_is_linked_to_each(tmp_path: Path) -> None:
    traces = tracing(tmp_path)
    other = INBOUND.replace("0af7", "1111")
    with traces.hop("one", ["", INBOUND, INBOUND]):
        pass
    with traces.hop("several", [INBOUND, other, ""]):
        pass
    with traces.hop("none", ["", "nonsense"]):
        pass
    traces.close()
    one, several = spans(tmp_path)
    assert (one["trace"], one["parent"], one["links"]) == ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", [])
    assert several["parent"] == ""
    assert several["links"] == ["0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331", "1111651916cd43dd8448eb211c80319c-b7ad6b7169203331"]


def test_a_span_that_ends_in_an_exception_names_its_type_and_not_its_message(tmp_path: Path) -> None:
    traces = tracing(tmp_path)
    with pytest.raises(ValueError, match=CANARY), traces.root("submit"):
        raise ValueError(CANARY)
    traces.close()
    (span,) = spans(tmp_path)
    assert (span["status"], span["attributes"]) == ("ERROR", {"error.type": "ValueError"})


@pytest.mark.parametrize(
    "text", ["", "00", INBOUND[:-2] + "00", INBOUND.replace("00-", "ff-", 1), INBOUND.replace("a", "g"), INBOUND + "0", "-" * 55]
)
def test_a_context_that_is_none_or_not_sampled_is_no_context(text: str) -> None:
    assert parse_traceparent(text) is None
