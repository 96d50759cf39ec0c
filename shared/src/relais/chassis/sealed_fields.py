"""The sealed parts of stored facts: left out for most readers, opened for those who may and say why (SAFETY 26)."""

from collections.abc import Sequence
from uuid import UUID

import msgspec

from relais.contracts import UnknownTag, decode
from relais.contracts.submission import Submission
from relais.eventlog.record import StoredEvent
from relais.vault.seal import document_key, open_content
from relais.vault.vault import KeyRing, SealBroken

SEALED_NAME = "sealed"

_MARK = b'"sealed":'
_encoder = msgspec.json.Encoder()


def has_sealed_fields(payload: bytes) -> bool:
    """Whether a stored fact may hold something sealed; cheap, and never wrong in saying no."""
    return _MARK in payload


def leave_out(payload: bytes) -> tuple[bytes, tuple[str, ...]]:
    """The fact with its sealed fields emptied, and their paths; a fact without any is returned as it is, byte for byte."""
    if not has_sealed_fields(payload):
        return payload, ()
    fact = msgspec.json.decode(payload)
    paths: list[str] = []
    emptied = _emptied(fact, "", paths)
    return (_encoder.encode(emptied), tuple(paths)) if paths else (payload, ())


class SubmissionOpener:
    """Opens the sealed part of the submission that a fact carries, with the subject's key."""

    def __init__(self, keys: KeyRing) -> None:
        self._keys = keys

    async def open(self, events: Sequence[StoredEvent]) -> list[bytes]:
        """For each event what its sealed fields say, JSON by path; empty where nothing is sealed or the key was destroyed."""
        carried = {index: submission for index, event in enumerate(events) if (submission := _submission(event)) is not None}
        asked = [(events[index].tenant, UUID(submission.subject)) for index, submission in carried.items()]
        keys = await self._keys.subjects(asked) if asked else []
        opened = [b""] * len(events)
        for (index, submission), key in zip(carried.items(), keys, strict=True):
            if key is None:
                continue
            try:
                content = open_content(document_key(key, submission.document), submission.document, submission.sealed)
            except SealBroken:
                continue
            opened[index] = _encoder.encode({"submission.sealed": content})
        return opened


def _submission(event: StoredEvent) -> Submission | None:
    if not has_sealed_fields(event.payload):
        return None
    try:
        submission = getattr(decode(event.tag, event.payload), "submission", None)
    except (UnknownTag, msgspec.MsgspecError):
        return None
    return submission if isinstance(submission, Submission) else None


def _emptied(value: object, path: str, paths: list[str]) -> object:
    if isinstance(value, dict):
        kept: dict[str, object] = {}
        for name, inner in value.items():
            place = f"{path}.{name}" if path else str(name)
            if name == SEALED_NAME and isinstance(inner, str):
                paths.append(place)
                kept[name] = ""
            else:
                kept[name] = _emptied(inner, place, paths)
        return kept
    if isinstance(value, list):
        return [_emptied(inner, f"{path}[{number}]", paths) for number, inner in enumerate(value)]
    return value
