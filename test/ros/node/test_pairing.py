# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Images and depth paired by stamp: whatever order they arrive in, whichever is missing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seg_node.ros.node.pairing import PairByStamp

MS = 1_000_000
SLOP_S = 0.010


def play(*arrivals: tuple[str, int]) -> list[tuple[int, int | None]]:
    """Pairs of stamps in ms that come out of ("image" or "depth", stamp in ms) in this order."""
    pairs: PairByStamp[int, int] = PairByStamp(SLOP_S)
    ready: list[tuple[int, int | None]] = []
    for kind, stamp in arrivals:
        ready += (pairs.add_image if kind == "image" else pairs.add_depth)(stamp, stamp * MS)
    return ready


def test_whichever_comes_first_waits_for_the_other() -> None:
    assert play(("image", 100), ("depth", 100)) == [(100, 100)]
    assert play(("depth", 100), ("image", 100)) == [(100, 100)]


def test_stamps_pair_up_to_the_slop_and_not_beyond() -> None:
    assert play(("image", 100), ("depth", 110)) == [(100, 110)]
    assert play(("image", 100), ("depth", 90)) == [(100, 90)]
    assert play(("image", 100), ("depth", 89)) == []
    assert play(("image", 100), ("depth", 111)) == [(100, None)]


def test_the_nearest_depth_is_taken() -> None:
    assert play(("depth", 92), ("depth", 101), ("depth", 109), ("image", 100)) == [(100, 101)]


def test_a_newer_image_releases_the_waiting_one_without_depth() -> None:
    assert play(("image", 100), ("image", 133), ("depth", 133)) == [(100, None), (133, 133)]


def test_a_depth_camera_that_lags_two_frames_leaves_images_without_depth() -> None:
    assert play(("image", 100), ("image", 133), ("depth", 100), ("image", 166)) == [(100, None), (133, None)]


def test_each_image_of_a_slow_colour_camera_finds_its_depth_among_the_last() -> None:
    depths = [("depth", stamp) for stamp in range(100, 200, 11)]
    assert play(*depths, ("image", 190)) == [(190, 188)]


def test_a_depth_image_is_used_once() -> None:
    assert play(("depth", 100), ("image", 98), ("image", 102)) == [(98, 100)]


@pytest.mark.parametrize("first", ["image", "depth"])
def test_pairing_continues_after_a_jump_back(first: str) -> None:
    second = "depth" if first == "image" else "image"
    old = [("image", 5000), ("depth", 5000), ("depth", 5033), ("depth", 5066)]
    new = [(first, 100), (second, 100), (first, 133), (second, 133)]
    assert play(*old, *new) == [(5000, 5000), (100, 100), (133, 133)]


def test_an_image_that_waits_when_the_stamps_jump_is_released_without_depth() -> None:
    assert play(("image", 5000), ("image", 100), ("depth", 100)) == [(5000, None), (100, 100)]


def test_a_negative_slop_is_refused() -> None:
    with pytest.raises(ValueError, match="slop_s is -1"):
        PairByStamp(-1)


@given(st.lists(st.tuples(st.sampled_from(["image", "depth"]), st.integers(0, 400)), max_size=40))
def test_every_image_but_the_last_comes_out_once_in_order(arrivals: list[tuple[str, int]]) -> None:
    images = [stamp for kind, stamp in arrivals if kind == "image"]
    ready = play(*arrivals)
    assert [image for image, _ in ready] in (images, images[:-1])
    assert all(depth is None or abs(depth - image) <= 10 for image, depth in ready)


@given(st.lists(st.tuples(st.integers(-10, 10), st.booleans()), max_size=20))
def test_streams_in_step_pair_completely(frames: list[tuple[int, bool]]) -> None:
    """Depth a little before or after its image by its stamp, first or second by its arrival."""
    arrivals = []
    for number, (offset, depth_first) in enumerate(frames):
        stamp = 100 + 33 * number
        two = [("image", stamp), ("depth", stamp + offset)]
        arrivals += two[::-1] if depth_first else two
    expected = [(100 + 33 * number, 100 + 33 * number + offset) for number, (offset, _) in enumerate(frames)]
    assert play(*arrivals) == expected


def test_an_image_is_released_without_depth_only_if_one_waits() -> None:
    pairs: PairByStamp[str, str] = PairByStamp(0.01)
    assert pairs.give_up() == []
    assert pairs.add_image("image", 1_000) == []
    assert pairs.give_up() == [("image", None)]
    assert pairs.give_up() == []
    assert pairs.add_depth("late", 1_000) == []


def test_the_last_image_waits_a_second_for_its_depth() -> None:
    now = 50.0
    pairs: PairByStamp[str, str] = PairByStamp(0.01, lambda: now)
    assert pairs.overdue() == []
    pairs.add_image("old", 1_000)
    now = 50.9
    pairs.add_image("new", 40 * MS)
    now = 51.5
    assert pairs.overdue() == []
    now = 51.9
    assert pairs.overdue() == [("new", None)]
    assert pairs.overdue() == pairs.give_up() == []


def test_an_image_that_found_its_depth_is_not_overdue() -> None:
    now = 50.0
    pairs: PairByStamp[str, str] = PairByStamp(0.01, lambda: now)
    pairs.add_image("image", 1_000)
    assert pairs.add_depth("depth", 1_000) == [("image", "depth")]
    now = 60.0
    assert pairs.overdue() == []
