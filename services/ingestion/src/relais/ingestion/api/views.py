"""From the read model to what the API shows: codes, names of resources and times; nothing about a person."""

from datetime import datetime

from google.protobuf.timestamp_pb2 import Timestamp

from relais.api.ingestion.v1 import document_pb2 as pb
from relais.ingestion.intake import Receipt
from relais.ingestion.ports import DestinationView, Journey, Step


def document_name(tenant: str, document: str) -> str:
    """`tenants/{tenant}/documents/{document}`."""
    return f"tenants/{tenant}/documents/{document}"


def receipt_message(tenant: str, receipt: Receipt) -> pb.Receipt:
    """A receipt as it is sent."""
    return pb.Receipt(
        document=document_name(tenant, receipt.document),
        sha256=receipt.sha256,
        tenant_sequence=receipt.tenant_sequence,
        record_time=_timestamp(receipt.recorded_at),
        duplicate=receipt.repeat,
    )


def document_message(journey: Journey, *, steps: bool) -> pb.Document:
    """A document's view; lists leave the steps out."""
    return pb.Document(
        name=document_name(journey.tenant, journey.document),
        state=pb.Document.State.Value(f"STATE_{journey.state}"),
        site=journey.site,
        sender=journey.sender,
        request_id=journey.request,
        type_code=journey.type_code,
        size_bytes=journey.size,
        tenant_sequence=journey.tenant_sequence,
        receive_time=_timestamp(journey.received_at),
        update_time=_timestamp(journey.updated_at),
        steps=[step_message(step) for step in journey.steps] if steps else [],
        destinations=[_destination(one) for one in journey.destinations],
    )


def step_message(step: Step) -> pb.Step:
    """One step as it is sent."""
    message = pb.Step(
        log=step.log, position=step.position, tag=step.tag, record_time=_timestamp(datetime.fromisoformat(step.at)), codes=step.codes
    )
    if step.ordinal is not None:
        message.ordinal = step.ordinal
    return message


def _destination(view: DestinationView) -> pb.Destination:
    message = pb.Destination(
        kind=view.kind,
        outcome=pb.Destination.Outcome.Value(f"OUTCOME_{view.outcome.upper()}"),
        code=view.code,
        due_time=_timestamp(datetime.fromisoformat(view.due_at)) if view.due_at else None,
    )
    if view.ordinal is not None:
        message.ordinal = view.ordinal
    return message


def _timestamp(at: datetime | None) -> Timestamp | None:
    if at is None:
        return None
    message = Timestamp()
    message.FromDatetime(at)
    return message
