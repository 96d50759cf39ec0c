"""Hypothesis drives a log and a model of it side by side; the model is a list, and says again in a few lines what an append means."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from relais.eventlog.log import BatchConflict, Fenced
from relais.eventlog.record import Append, Outcome
from relais.testing.eventlog_place import CONSUMER, LogPlace, append_of, event, mark

OpenPlace = Callable[[], AbstractAsyncContextManager[LogPlace]]

# Few names, so that appends meet one another; ids from a small range, so that repeats happen.
_tenants = st.sampled_from(["t", "u"])
_streams = st.sampled_from(["a", "b", "c"])
_ids = st.integers(1, 60).map(lambda number: UUID(int=number))
_expected = st.none() | st.integers(0, 6)


@st.composite
def _appends(draw: st.DrawFn) -> Append:
    tenant, stream, ids = draw(_tenants), draw(_streams), draw(st.lists(_ids, min_size=1, max_size=3, unique=True))
    first = event(stream, tenant=tenant, event_id=ids[0], expected=draw(_expected))
    return append_of(first, *(event(stream, tenant=tenant, event_id=event_id) for event_id in ids[1:]), work=({"n": ids[0].int},))


# Outcome, position, tenant sequence and version.
Expected = tuple[Outcome, int, int, int]


class _Model:
    """The log as a list of (tenant, stream, id), and checkpoints as a dictionary."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str, UUID]] = []
        self.work: list[dict[str, Any]] = []
        self.marks: dict[int, tuple[int, int]] = {}

    def _version(self, tenant: str, stream: str) -> int:
        return sum((tenant, stream) == (event[0], event[1]) for event in self.events)

    def append(self, append: Append) -> Expected:
        first = append.events[0]
        ids = [known for _, _, known in self.events]
        if known := [event.event_id for event in append.events if event.event_id in ids]:
            return Outcome.DUPLICATE, *self._place_of(known[-1])
        version = self._version(first.tenant, first.stream)
        if first.expected_version is not None and first.expected_version != version:
            return Outcome.CONFLICT, 0, 0, version
        self.events += [(event.tenant, event.stream, event.event_id) for event in append.events]
        self.work += append.work
        return Outcome.STORED, *self._place_of(append.events[-1].event_id)

    def _place_of(self, event_id: UUID) -> tuple[int, int, int]:
        place = [known for _, _, known in self.events].index(event_id)
        tenant, stream, _ = self.events[place]
        before = self.events[: place + 1]
        return place + 1, sum(tenant == event[0] for event in before), sum((tenant, stream) == event[:2] for event in before)

    def copy(self) -> "_Model":
        copied = _Model()
        copied.events, copied.work, copied.marks = list(self.events), list(self.work), dict(self.marks)
        return copied


class _LogMachine(RuleBasedStateMachine):
    """Every rule does the same to both, and the answers must agree."""

    def __init__(self, open_place: OpenPlace) -> None:
        super().__init__()
        self._runner = asyncio.Runner()
        self._opened = open_place()
        self._place = self._run(self._opened.__aenter__())
        self._model = _Model()

    def teardown(self) -> None:
        self._run(self._opened.__aexit__(None, None, None))
        self._runner.close()

    def _run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return self._runner.run(coroutine)

    @rule(
        batch=st.lists(_appends(), max_size=6),
        all_or_nothing=st.booleans(),
        partition=st.integers(0, 2),
        epoch=st.integers(1, 3),
        moves=st.booleans(),
    )
    def append(self, batch: list[Append], all_or_nothing: bool, partition: int, epoch: int, moves: bool) -> None:
        after = self._model.copy()
        expected = [after.append(append) for append in batch]
        conflicts = tuple(index for index, answer in enumerate(expected) if answer[0] is Outcome.CONFLICT)
        position = len(after.events) + 1
        checkpoints = [mark(position, partition=partition, epoch=epoch)] if moves else []
        call = self._place.log.append(batch, checkpoints=checkpoints, all_or_nothing=all_or_nothing)
        if all_or_nothing and conflicts:
            with pytest.raises(BatchConflict) as raised:
                self._run(call)
            assert raised.value.indexes == conflicts
        elif moves and self._model.marks.get(partition, (0, epoch))[1] != epoch:
            with pytest.raises(Fenced):
                self._run(call)
        else:
            answers = self._run(call)
            assert [(answer.outcome, answer.position, answer.tenant_sequence, answer.version) for answer in answers] == expected
            self._model = after
            if moves:
                after.marks[partition] = (position, epoch)

    @rule(partition=st.integers(0, 2))
    def take_over(self, partition: int) -> None:
        position, epoch = self._model.marks.get(partition, (0, 0))
        self._run(self._place.fence(CONSUMER, "identity", partition, epoch + 1))
        self._model.marks[partition] = (position, epoch + 1)

    @rule(after=st.integers(0, 30), limit=st.integers(0, 10), tenant=st.none() | _tenants)
    def read(self, after: int, limit: int, tenant: str | None) -> None:
        expected = [number for number, known in enumerate(self._model.events, start=1) if number > after and tenant in (None, known[0])]
        events = self._run(self._place.log.read(after, limit, tenant=tenant))
        assert [event.position for event in events] == expected[:limit]

    @rule(tenant=_tenants, stream=_streams)
    def read_stream(self, tenant: str, stream: str) -> None:
        found = self._run(self._place.log.read_streams([(tenant, stream)]))
        assert [event.event_id for event in found[tenant, stream]] == [
            known for t, s, known in self._model.events if (t, s) == (tenant, stream)
        ]

    @rule(ids=st.lists(_ids, max_size=5))
    def find(self, ids: list[UUID]) -> None:
        found = self._run(self._place.log.find(ids))
        assert found.keys() == set(ids) & {known for _, _, known in self._model.events}

    @invariant()
    def the_rest_agrees(self) -> None:
        assert self._run(self._place.log.head()) == len(self._model.events)
        assert self._run(self._place.applied_work()) == self._model.work
        marks = {found.partition: (found.position, found.epoch) for found in self._run(self._place.log.checkpoints(CONSUMER))}
        assert marks == self._model.marks


def check_against_model(open_place: OpenPlace, *, examples_maximum: int = 40, steps_maximum: int = 25) -> None:
    """Run the machine; every example opens a new, empty log in a loop of its own."""

    class Machine(_LogMachine):
        def __init__(self) -> None:
            super().__init__(open_place)

    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=examples_maximum,
            stateful_step_count=steps_maximum,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        ),
    )
