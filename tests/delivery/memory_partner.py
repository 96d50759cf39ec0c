"""A partner in memory, under a clock: the verified fake of a connector (it passes the suite that HTTPS passes)."""

import hashlib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from relais.clock import Clock
from relais.delivery.domain.answers import Answer, Refused, Retry, Succeeded, Unknown
from relais.delivery.ports import BodyUnreadable, Call
from relais.testing.connector_suite import Conduct

_SLOW_SECONDS = 0.2


@dataclass
class Kept:
    document: bytes
    address: str
    times: int = 1


@dataclass
class MemoryPartner:
    """Behaves as `conducts` say, one call each, the last for ever. `watch` sees every call as it begins."""

    clock: Clock
    conducts: deque[Conduct] = field(default_factory=lambda: deque([Conduct.TAKES]))
    watch: Callable[[Call], None] = lambda _: None
    kept: dict[str, Kept] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)
    under_way: int = 0
    most_under_way: int = 0
    slow_seconds: float = _SLOW_SECONDS
    there: bool = True

    def behave(self, *conducts: Conduct) -> None:
        self.conducts = deque(conducts)

    async def deliver(self, call: Call) -> Answer:
        self.watch(call)
        self.calls.append(call)
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            return await self._answer(call)
        finally:
            self.under_way -= 1

    async def close(self) -> None:
        self.there = False

    async def _answer(self, call: Call) -> Answer:
        conduct = self.conducts.popleft() if len(self.conducts) > 1 else self.conducts[0]
        body = await _body_of(call)
        if not self.there:
            return Retry(code="CONNECT_FAILED")
        match conduct:
            case Conduct.TAKES:
                return self._take(call, body)
            case Conduct.TAKES_SLOWLY:
                await self.clock.sleep(self.slow_seconds)
                return self._take(call, body)
            case Conduct.TAKES_AND_SAYS_NOTHING:
                self._take(call, body)
                await self.clock.sleep(call.timeout_seconds)
                return Unknown(code="TIMEOUT")
            case Conduct.TAKES_AND_HANGS_UP:
                self._take(call, body)
                return Unknown(code="CONNECTION_LOST")
            case Conduct.SAYS_NOTHING:
                await self.clock.sleep(call.timeout_seconds)
                return Unknown(code="TIMEOUT")
            case Conduct.HANGS_UP_IN_THE_MIDDLE | Conduct.BABBLES | Conduct.BREAKS:
                return Unknown(code=conduct.name)
            case Conduct.IS_AWAY | Conduct.REFUSES_US | Conduct.SENDS_ELSEWHERE:
                return Retry(code=conduct.name)
            case Conduct.REFUSES | Conduct.LIES:
                return Refused(code=conduct.name)

    def _take(self, call: Call, body: bytes) -> Answer:
        known = self.kept.get(call.idempotency_key)
        if known is not None:
            known.times += 1
            return Succeeded(status="200", repeat=True)
        address = call.recipient.address if call.recipient is not None else ""
        self.kept[call.idempotency_key] = Kept(body, address)
        return Succeeded(status="200")


async def _body_of(call: Call) -> bytes:
    body = call.body if isinstance(call.body, bytes) else b"".join([part async for part in call.body.parts()])
    if hashlib.sha256(body).digest() != call.content.document_sha256:
        raise BodyUnreadable
    return body
