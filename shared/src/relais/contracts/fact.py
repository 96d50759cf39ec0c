"""What a fact is, and the one registry that turns a tag and stored bytes back into one.

A fact is past tense, frozen, keyword-only and only grows, by fields with defaults. Its tag is explicit and versioned
(`routing.planned.v1`): the same word is the NATS subject suffix, the golden file's name, the span name and the metric
label. The stored bytes are the bytes that are hashed, so a fact is encoded once and never again.
"""

from collections.abc import Callable
from typing import Any, ClassVar, TypeVar

import msgspec

T = TypeVar("T", bound="Fact")


class Fact(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The root of all facts. `announced` facts travel over the bus; the others stay in their log, for audit.

    A fact is a tree of values without cycles, which the collector need not know of.
    """

    TAG: ClassVar[str]
    ANNOUNCED: ClassVar[bool] = True


class UnknownTag(Exception):
    """A tag this build does not know: newer facts reached an older build, or the log was written by someone else."""

    def __init__(self, tag: str) -> None:
        super().__init__(f"no fact is registered under the tag {tag!r}")
        self.tag = tag


Upcast = Callable[[dict[str, Any]], dict[str, Any]]

_types: dict[str, type[Fact]] = {}
_decoders: dict[str, msgspec.json.Decoder[Fact]] = {}
_upcasts: dict[str, tuple[str, Upcast]] = {}
_encoder = msgspec.json.Encoder()


def fact(tag: str, *, announced: bool = True) -> Callable[[type[T]], type[T]]:
    """Register a fact class under its tag."""

    def register(cls: type[T]) -> type[T]:
        if tag in _types:
            raise ValueError(f"the tag {tag!r} is registered twice")
        cls.TAG = tag
        cls.ANNOUNCED = announced
        _types[tag] = cls
        _decoders[tag] = msgspec.json.Decoder(cls)
        return cls

    return register


def upcast(old_tag: str, new_tag: str, transform: Upcast) -> None:
    """Read facts stored under `old_tag` as `new_tag`; the stored bytes are never rewritten, because they are hashed."""
    _upcasts[old_tag] = (new_tag, transform)


def encode(value: Fact) -> bytes:
    """The bytes to store and to hash."""
    return _encoder.encode(value)


def decode(tag: str, payload: bytes) -> Fact:
    """The fact that these stored bytes are, upcast to its newest meaning. Raises `UnknownTag` or `msgspec.DecodeError`."""
    decoder = _decoders.get(tag)
    if decoder is not None and tag not in _upcasts:
        return decoder.decode(payload)
    if tag not in _upcasts:
        raise UnknownTag(tag)
    raw = msgspec.json.decode(payload)
    while tag in _upcasts:
        tag, transform = _upcasts[tag]
        raw = transform(raw)
    return msgspec.convert(raw, _types[tag])


def tags() -> dict[str, type[Fact]]:
    """Every registered tag with its class; the golden-file test walks it."""
    return dict(_types)
