"""Traces: whether a journey is traced is decided once, at its root; from then on its `traceparent` travels in every fact.

An untraced journey has an empty `traceparent` and costs one random number at the root and nothing behind it. A hop makes one
span per batch: the child of its trace where the batch holds one, else linked to every trace in it. What a hospital sends as
`traceparent` never decides about sampling; it becomes a link. Spans hold counts, tags and codes, never an exception's message.
"""

import random
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar

from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.trace import Link, NonRecordingSpan, Span, SpanContext, SpanKind, Status, StatusCode, TraceFlags, set_span_in_context

from relais.chassis.config import TelemetryConfig
from relais.chassis.trace_file import TraceFile

LINKS_MAXIMUM = 128
QUEUE_SPANS_MAXIMUM = 8192
BATCH_SPANS_MAXIMUM = 512
EXPORT_MILLISECONDS = 1000
TRACEPARENT_CHARACTERS = 55

_current: ContextVar[str] = ContextVar("relais_traceparent", default="")
_UNTRACED: AbstractContextManager[str] = nullcontext("")


def current_traceparent() -> str:
    """The trace context of the call that is being answered, for the facts it causes; empty when it is not traced."""
    return _current.get()


class Tracing:
    """Makes the spans of one process. Without an exporter nothing is traced, whatever the sampling says."""

    def __init__(self, service: str, replica: str, sample: float, exporter: SpanExporter | None) -> None:
        self._sample = sample if exporter is not None else 0.0
        self._provider = TracerProvider(
            resource=Resource.create({"service.name": f"relais-{service}", "service.instance.id": replica}),
            span_limits=SpanLimits(max_links=LINKS_MAXIMUM),
            shutdown_on_exit=False,
        )
        if exporter is not None:
            self._provider.add_span_processor(
                BatchSpanProcessor(
                    exporter,
                    max_queue_size=QUEUE_SPANS_MAXIMUM,
                    max_export_batch_size=BATCH_SPANS_MAXIMUM,
                    schedule_delay_millis=EXPORT_MILLISECONDS,
                )
            )
        self._exporting = exporter is not None
        self._tracer = self._provider.get_tracer("relais")

    @classmethod
    def start(cls, service: str, replica: str, config: TelemetryConfig) -> "Tracing":
        """The tracing that the configuration asks for."""
        return cls(service, replica, config.trace_sample, _exporter(config))

    def root(self, name: str, inbound: str = "") -> AbstractContextManager[str]:
        """The beginning of a journey: a context manager that gives its `traceparent`, empty when it is not traced."""
        if not self._sample or random.random() >= self._sample:
            return _UNTRACED
        return self._root(name, inbound)

    def hop(self, name: str, traceparents: Iterable[str]) -> AbstractContextManager[object]:
        """One span for a batch of facts, whatever the number of journeys in it; nothing when none of them is traced."""
        if not self._exporting:
            return _UNTRACED
        given = (traceparent for traceparent in dict.fromkeys(traceparents) if traceparent)
        contexts = [context for context in map(parse_traceparent, given) if context is not None]
        return self._hop(name, contexts) if contexts else _UNTRACED

    def close(self) -> None:
        """Hand over what was not exported yet."""
        self._provider.shutdown()

    @contextmanager
    def _root(self, name: str, inbound: str) -> Iterator[str]:
        remote = parse_traceparent(inbound)
        links = [Link(remote)] if remote is not None else []
        span = self._tracer.start_span(name, context=Context(), kind=SpanKind.SERVER, links=links)
        traceparent = _format(span.get_span_context())
        before = _current.get()
        _current.set(traceparent)
        try:
            with _ending(span):
                yield traceparent
        finally:
            # Set back, and not reset: what ends in another task than it began in must not fail for that.
            _current.set(before)

    @contextmanager
    def _hop(self, name: str, contexts: list[SpanContext]) -> Iterator[None]:
        one = len({context.trace_id for context in contexts}) == 1
        parent = set_span_in_context(NonRecordingSpan(contexts[0]), Context()) if one else Context()
        links = [] if one else [Link(context) for context in contexts[:LINKS_MAXIMUM]]
        span = self._tracer.start_span(
            name, context=parent, kind=SpanKind.CONSUMER, links=links, attributes={"relais.traced_facts": len(contexts)}
        )
        with _ending(span):
            yield


def parse_traceparent(text: str) -> SpanContext | None:
    """The sampled W3C trace context that the text is, else None."""
    parts = text.split("-")
    if len(text) != TRACEPARENT_CHARACTERS or [len(part) for part in parts] != [2, 32, 16, 2] or parts[0] == "ff":
        return None
    try:
        trace, span, flags = (int(part, 16) for part in parts[1:])
    except ValueError:
        return None
    context = SpanContext(trace, span, is_remote=True, trace_flags=TraceFlags(flags))
    return context if context.is_valid and context.trace_flags.sampled else None


@contextmanager
def _ending(span: Span) -> Iterator[None]:
    try:
        yield
    except BaseException as error:
        span.set_attribute("error.type", type(error).__qualname__)
        span.set_status(Status(StatusCode.ERROR))
        raise
    finally:
        span.end()


def _format(context: SpanContext) -> str:
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-01"


def _exporter(config: TelemetryConfig) -> SpanExporter | None:
    if config.trace_endpoint is not None:
        # Imported here because it costs 0.2 s, which a process that exports nothing need not pay.
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter  # noqa: PLC0415

        return OTLPSpanExporter(endpoint=config.trace_endpoint)
    return TraceFile(config.trace_file) if config.trace_file is not None else None
