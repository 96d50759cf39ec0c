"""What a batch means to a consumer that stands somewhere: known, new, a hole, a fork; and what it may tell others about itself."""

from uuid import UUID

import pytest
from msgspec.structs import replace

from relais.eventlog.record import Checkpoint
from relais.testing.bus_place import announcement
from relais.transport.bus import Announcement, Delivered, LogForkDetected, StreamState
from relais.transport.cursors import NOTHING_READ, Cursors
from relais.transport.progress import Mark

LOG = "identity"


def fact(position: int, partition: int = 0, previous: int = 0) -> Announcement:
    return announcement(LOG, position, partition=partition, previous=previous)


def batch(*facts: Announcement) -> list[Delivered]:
    return [Delivered(sequence, one) for sequence, one in enumerate(facts, start=1)]


def checkpoint(partition: int, position: int, epoch: int = 3) -> Checkpoint:
    event_id = UUID(fact(position).event_id) if position else NOTHING_READ
    return Checkpoint("routing", LOG, partition, position, event_id, epoch)


def cursors(*positions: int) -> Cursors:
    """A consumer that stands at these positions in partitions 0, 1, ..."""
    return Cursors("routing", LOG, [checkpoint(partition, position) for partition, position in enumerate(positions)])


def positions(delivered: list[Delivered]) -> list[int]:
    return [one.announcement.position for one in delivered]


def state(last_positions: dict[int, int]) -> StreamState:
    ids = {partition: fact(position).event_id for partition, position in last_positions.items()}
    return StreamState("one", 1, 99, 99, 1, max(last_positions.values(), default=0), last_positions, 0, "", ids)


def test_what_is_known_is_skipped_and_what_is_new_is_taken_in_order() -> None:
    standing = cursors(5, 0)
    given = batch(fact(3), fact(5, previous=3), fact(6, partition=1), fact(8, previous=5), fact(9, partition=1, previous=6))
    assert positions(standing.accept(given)) == [6, 8, 9]


def test_partitions_of_others_are_left_alone() -> None:
    assert cursors(0).accept(batch(fact(1, partition=7))) == []


def test_the_same_fact_twice_in_one_batch_is_taken_once() -> None:
    assert positions(cursors(0).accept(batch(fact(1), fact(1), fact(2, previous=1), fact(1)))) == [1, 2]


def test_accepting_moves_nothing_so_that_a_batch_can_be_decided_again() -> None:
    standing = cursors(0)
    given = batch(fact(1), fact(2, previous=1))
    assert positions(standing.accept(given)) == positions(standing.accept(given)) == [1, 2]
    assert standing.checkpoints() == []


def test_a_fact_that_follows_on_something_unseen_is_a_hole_until_it_is_filled() -> None:
    standing = cursors(5, 0)
    given = batch(fact(9, previous=7), fact(10, previous=9), fact(11, partition=1))
    assert positions(standing.accept(given)) == [11]
    assert standing.holes == {0: 9}, "the last fact that was refused follows on 9"
    filled = batch(fact(7, previous=5), fact(9, previous=7), fact(10, previous=9))
    assert positions(standing.accept(filled)) == [7, 9, 10]
    assert standing.holes == {}


def test_a_previous_below_the_checkpoint_is_no_hole() -> None:
    # A rebuilt stream may not name facts that an older build announced and this one does not.
    assert positions(cursors(5).accept(batch(fact(9, previous=3)))) == [9]


def test_another_event_at_the_known_position_is_a_fork() -> None:
    with pytest.raises(LogForkDetected):
        cursors(5).accept(batch(replace(fact(5), event_id=fact(6).event_id)))
    with pytest.raises(LogForkDetected):
        cursors(0).accept(batch(fact(4), replace(fact(4), event_id=fact(6).event_id)))


def test_a_stream_that_ends_a_partition_with_another_event_is_a_fork() -> None:
    other = replace(state({0: 5}), last_event_ids={0: fact(6).event_id})
    with pytest.raises(LogForkDetected):
        cursors(5).first_unread(other)


def test_reading_begins_at_the_lowest_partition_that_the_stream_has_more_for() -> None:
    standing = cursors(5, 40, 0)
    assert standing.first_unread(state({0: 5, 1: 40})) is None
    assert standing.first_unread(state({0: 5, 1: 60})) == 40
    assert standing.first_unread(state({0: 9, 1: 60})) == 5
    assert standing.first_unread(state({0: 3, 2: 2})) == 0
    assert standing.first_unread(state({})) is None


def test_checkpoints_name_the_last_fact_of_each_partition_that_moved_under_its_epoch() -> None:
    standing = cursors(5, 0, 0)
    fresh = standing.accept(batch(fact(6, previous=5), fact(7, partition=1), fact(8, previous=6)))
    assert standing.checkpoints(fresh) == [checkpoint(0, 8), checkpoint(1, 7)]
    standing.handled(fresh)
    assert standing.checkpoints() == [checkpoint(0, 8), checkpoint(1, 7)]
    standing.committed()
    assert standing.checkpoints() == []


def test_marks_say_only_what_is_committed_and_a_quiet_partition_is_as_far_as_the_reading() -> None:
    standing = cursors(5, 2)
    given = batch(fact(6, previous=5), fact(9, previous=6))
    fresh = standing.accept(given)
    standing.handled(fresh)
    standing.passed(given)
    assert standing.marks() == {1: Mark(2, 9, fact(2).event_id)}
    standing.committed()
    assert standing.marks() == {0: Mark(9, 9, fact(9).event_id), 1: Mark(2, 9, fact(2).event_id)}


def test_a_partition_with_a_hole_says_that_it_has_come_no_further_than_its_last_fact() -> None:
    standing = cursors(5, 2)
    given = batch(fact(9, previous=7), fact(12, partition=1, previous=2))
    standing.handled(standing.accept(given))
    standing.passed(given)
    standing.committed()
    assert standing.marks() == {0: Mark(5, 5, fact(5).event_id, 7), 1: Mark(12, 12, fact(12).event_id)}


def test_a_stream_that_begins_above_what_was_reached_has_a_hole_there() -> None:
    standing = cursors(5, 2, 0, 50)
    standing.require_base(40, {0: 40, 1: 39})
    assert standing.holes == {1: 40, 2: 40}
