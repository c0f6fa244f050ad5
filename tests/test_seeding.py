from hypothesis import given
from hypothesis import strategies as st

from cvgl_bench.seeding import generator, identity_seed

PARTS = st.lists(st.one_of(st.text(max_size=8), st.integers(-5, 10**9)), max_size=5)


@given(one=PARTS, other=PARTS)
def test_two_identities_share_a_seed_only_if_they_are_the_same(one, other):
    assert (identity_seed(*one) == identity_seed(*other)) == (one == other)


def test_moving_a_letter_between_parts_changes_the_seed():
    assert identity_seed("ab", "c") != identity_seed("a", "bc")
    assert identity_seed("1") != identity_seed(1)


def test_the_stream_of_a_seed_is_pinned():
    seed = identity_seed(2024, "cvusa", "0000002", "snow", 3, "full")
    assert f"{seed:064x}"[:16] == "34ea2c94f95bb668"
    assert generator(seed).integers(0, 1000, 4).tolist() == [133, 281, 680, 592]
