"""Spans as lines of JSON in a file: enough to follow one document through every hop on one machine."""

from collections.abc import Sequence
from pathlib import Path

import msgspec
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

FILE_BYTES_MAXIMUM = 256 * 1024 * 1024

_encoder = msgspec.json.Encoder()


class TraceFile(SpanExporter):
    """Appends one line per span, each batch in one write, so that several processes can share a file. Stops at 256 MiB."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        try:
            with self._path.open("ab", buffering=0) as file:
                if file.tell() > FILE_BYTES_MAXIMUM:
                    return SpanExportResult.FAILURE
                file.write(b"".join(_encoder.encode(_line(span)) + b"\n" for span in spans))
        except OSError:
            return SpanExportResult.FAILURE
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        """Nothing is kept open."""


def _line(span: ReadableSpan) -> dict[str, object]:
    context = span.get_span_context()
    return {
        "trace": f"{context.trace_id:032x}" if context else "",
        "span": f"{context.span_id:016x}" if context else "",
        "parent": f"{span.parent.span_id:016x}" if span.parent else "",
        "links": [f"{link.context.trace_id:032x}-{link.context.span_id:016x}" for link in span.links],
        "name": span.name,
        "service": span.resource.attributes.get("service.name", ""),
        "replica": span.resource.attributes.get("service.instance.id", ""),
        "begin_ns": span.start_time,
        "end_ns": span.end_time,
        "status": span.status.status_code.name,
        "attributes": dict(span.attributes or {}),
    }
