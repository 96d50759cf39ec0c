"""How N replicas share resources: a pure rule that needs no leader and ends in rest, because each replica applies it alone.

Everybody wants the same part, rounded up. Who has more marks the surplus as leaving, finishes what is under way and gives
it back; who has less takes what is free. Nothing is ever taken from somebody alive.
"""

from collections.abc import Collection, Sequence
from hashlib import sha256


def fair_part(total: int, alive: int) -> int:
    """How many of `total` resources one of `alive` replicas wants."""
    return -(-total // max(alive, 1))


def claims_of(holder: str, resources: Sequence[str], held: Collection[str], free: Collection[str], alive: int) -> tuple[str, ...]:
    """What a replica tries to take next. Each holder looks from another place in the list, so that two that start at one moment
    rarely want the same.
    """
    wanted = fair_part(len(resources), alive) - len(held)
    if wanted <= 0:
        return ()
    start = int.from_bytes(sha256(holder.encode()).digest()[:4], "big") % len(resources)
    candidates = [resource for resource in (*resources[start:], *resources[:start]) if resource in free]
    return tuple(candidates[:wanted])


def surplus_of(resources: Sequence[str], held: Collection[str], alive: int) -> tuple[str, ...]:
    """What a replica gives back: what the group no longer has, and what is above its part."""
    gone = [resource for resource in held if resource not in resources]
    kept = [resource for resource in held if resource in resources]
    return (*gone, *kept[fair_part(len(resources), alive) :])
