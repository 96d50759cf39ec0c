"""Attacks the cast: every document must be one that the platform reads, meant for what it says, and of this run alone."""

from collections import Counter

from relais.demo.cast import SITES, Parcel, synthetic_parcels
from relais.ingestion.cda import read_header

DOCUMENTS = 200


def parcels(seed: int, count: int = DOCUMENTS) -> list[Parcel]:
    return list(synthetic_parcels(count, seed))


def test_the_cast_is_of_both_levels_several_types_and_two_sites_and_can_be_read() -> None:
    headers = [read_header(parcel.body) for parcel in parcels(1)]
    assert Counter(header.structured for header in headers) == {True: DOCUMENTS / 2, False: DOCUMENTS / 2}
    assert len({header.type.code for header in headers}) == 7
    assert {parcel.submission.site for parcel in parcels(1, 4)} == set(SITES)


def test_every_reason_to_hold_that_is_meant_is_played_equally_often() -> None:
    meant = Counter(parcel.held_for for parcel in parcels(1) if parcel.held_for)
    assert meant == dict.fromkeys(
        (
            "INS_KEY_WRONG",
            "IDENTITY_DISAGREES",
            "STATUS_DOUBTFUL",
            "INS_NOT_QUALIFIED_IN_DOCUMENT",
            "BORN_AFTER_DOCUMENT",
            "MINOR_OR_AGE_UNKNOWN",
            "MATRIX_COMBINATION_UNKNOWN",
        ),
        4,
    )


def test_the_same_seed_is_the_same_request_and_another_seed_shares_nothing_with_it() -> None:
    def names(seed: int) -> set[tuple[str, str]]:
        return {(parcel.submission.request_id, str(read_header(parcel.body).id)) for parcel in parcels(seed, 60)}

    assert names(1) == names(1)
    requests, documents = zip(*names(1) | names(2), strict=True)
    assert len(set(requests)) == len(set(documents)) == 120
