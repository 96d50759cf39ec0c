"""How large the batches of each hop are: what the services themselves count, before a load and after it.

A wave of documents through all hops costs a fixed number of syncs and round trips: how many documents share them decides what each costs.
"""

import asyncio
import re
import urllib.request
from collections.abc import Mapping
from typing import Final

import msgspec

from tests.bench.stage import Stage

TIMEOUT_SECONDS: Final = 10.0
_LINE: Final = re.compile(r'relais_(consumer|relay)_batch_events_(sum|count)\{(?:consumer|log)="([^"]+)"\} ([0-9.e+]+)')

# By kind and name of a hop: events and batches so far.
Counts = Mapping[str, tuple[float, float]]


class Hop(msgspec.Struct, frozen=True, kw_only=True):
    """One hop: how many batches, and facts in a batch in the mean."""

    batches: int
    facts_per_batch: float


async def counted(stage: Stage) -> Counts:
    """Ask every service now; replicas are added together."""
    texts = await asyncio.gather(*(asyncio.to_thread(_fetch, address) for address in _addresses(stage)))
    found: dict[str, tuple[float, float]] = {}
    for text in texts:
        for kind, what, name, value in _LINE.findall(text):
            events, batches = found.get(f"{kind} {name}", (0.0, 0.0))
            found[f"{kind} {name}"] = (events + float(value), batches) if what == "sum" else (events, batches + float(value))
    return found


def hops(before: Counts, after: Counts) -> dict[str, Hop]:
    """What happened in between, hops without a batch left out."""
    result = {}
    for name, (events, batches) in sorted(after.items()):
        earlier_events, earlier_batches = before.get(name, (0.0, 0.0))
        count = batches - earlier_batches
        if count:
            result[name] = Hop(batches=round(count), facts_per_batch=round((events - earlier_events) / count, 1))
    return result


def _addresses(stage: Stage) -> list[str]:
    return [part.addresses["metrics"] for part in stage.stack.report().parts if "metrics" in part.addresses]


def _fetch(address: str) -> str:
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=TIMEOUT_SECONDS) as response:
        text: str = response.read().decode()
        return text
