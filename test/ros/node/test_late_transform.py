# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Objects that wait for TF: each comes out once, moved or as the error, whenever TF comes."""

import math

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not in this environment")

from hypothesis import given
from hypothesis import strategies as st

from seg_node.ros.node.late_transform import KEPT, TF_WAIT_S, LateTransforms
from seg_node.ros.node.locate import NotLocated


class Transforms:
    """Moves number n to -n once n is known."""

    def __init__(self) -> None:
        self.known: set[int] = set()
        self.lookups = 0
        self.reason = "no_transform"

    def move(self, number: int) -> int:
        self.lookups += 1
        if number not in self.known:
            raise NotLocated(self.reason, f"{number} is not known")
        return -number


def texts(outcomes: list[int | NotLocated]) -> list[int | str]:
    return [str(outcome) if isinstance(outcome, NotLocated) else outcome for outcome in outcomes]


def test_a_known_transform_does_not_wait() -> None:
    transforms = Transforms()
    late = LateTransforms(transforms.move)
    transforms.known = {1}
    assert late.offer(1, now=0.0) == -1
    assert late.next_poll_s is None
    assert late.poll(0.0) == []


def test_a_transform_that_arrives_later_is_used_then() -> None:
    transforms = Transforms()
    late = LateTransforms(transforms.move)
    assert late.offer(1, now=10.0) is None
    assert late.next_poll_s is not None
    assert late.poll(10.01) == []
    transforms.known = {1}
    assert late.poll(10.02) == [-1]
    assert late.next_poll_s is None
    assert late.poll(10.03) == []


@pytest.mark.parametrize("known", [False, True])
def test_after_the_wait_it_is_tried_once_more_and_reported(known: bool) -> None:
    transforms = Transforms()
    late = LateTransforms(transforms.move)
    late.offer(1, now=10.0)
    assert late.poll(10.0 + TF_WAIT_S - 0.001) == []
    transforms.known = {1} if known else set()
    assert texts(late.poll(10.0 + TF_WAIT_S)) == ([-1] if known else ["1 is not known"])
    assert late.next_poll_s is None


def test_a_waiting_frame_does_not_delay_those_after_it() -> None:
    transforms = Transforms()
    late = LateTransforms(transforms.move)
    transforms.known = {2}
    assert (late.offer(1, now=0.0), late.offer(2, now=0.1), late.offer(3, now=0.1)) == (None, -2, None)
    transforms.known = {3}
    assert late.poll(0.15) == [-3]
    assert texts(late.poll(0.3)) == ["1 is not known"]


def test_a_fault_that_waiting_cannot_cure_is_reported_at_once() -> None:
    transforms = Transforms()
    late = LateTransforms(transforms.move)
    late.offer(1, now=0.0)
    transforms.reason = "bad_transform"
    with pytest.raises(NotLocated, match="2 is not known"):
        late.offer(2, now=0.0)
    assert texts(late.poll(0.01)) == ["1 is not known"]
    assert late.next_poll_s is None


def test_the_oldest_are_released_and_reported() -> None:
    transforms = Transforms()
    late = LateTransforms(transforms.move)
    for number in range(1, KEPT + 4):
        assert late.offer(number, now=0.0) is None
    assert texts(late.poll(0.01)) == ["1 is not known", "2 is not known", "3 is not known"]
    transforms.known = set(range(1, KEPT + 4))
    assert late.poll(0.02) == [-number for number in range(4, KEPT + 4)]


def test_all_are_released_at_the_end() -> None:
    transforms = Transforms()
    late = LateTransforms(transforms.move)
    late.offer(1, now=0.0)
    late.offer(2, now=0.0)
    transforms.known = {2}
    assert texts(late.poll(math.inf)) == ["1 is not known", -2]
    assert late.next_poll_s is None


def test_nothing_is_looked_up_while_nothing_waits() -> None:
    transforms = Transforms()
    late = LateTransforms(transforms.move)
    late.poll(0.0)
    late.poll(math.inf)
    assert transforms.lookups == 0


@given(
    st.lists(
        st.one_of(st.just("offer"), st.just("poll"), st.integers(1, 30)),  # a number becomes known
        max_size=60,
    ),
    st.floats(0.001, 0.3),
)
def test_each_is_released_once(steps: list[str | int], step_s: float) -> None:
    transforms, out, offered, now = Transforms(), [], 0, 0.0
    late = LateTransforms(transforms.move)
    for step in [*steps, "end"]:
        now += step_s
        if step == "offer":
            offered += 1
            moved = late.offer(offered, now)
            out += [] if moved is None else [moved]
        elif isinstance(step, int):
            transforms.known.add(step)
        else:
            out += late.poll(math.inf if step == "end" else now)
    numbers = [int(str(one).split()[0]) if isinstance(one, NotLocated) else -one for one in out]
    assert sorted(numbers) == list(range(1, offered + 1))
