# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Which stamps are in order."""

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not in this environment")

from builtin_interfaces.msg import Time

from seg_node.ros.node.stamp_order import StampOrder


def reasons(*seconds: float) -> list[str]:
    """The reason for each stamp in turn, "" where the frame is served."""
    order = StampOrder()
    refusals = [order.refusal(Time(sec=int(s), nanosec=round(s % 1 * 1e9))) for s in seconds]
    return [refusal[0] if refusal else "" for refusal in refusals]


BACK = "stamp_backwards"


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        ([], []),
        ([1.0, 1.0, 1.1, 5.0], ["", "", "", ""]),
        ([1.0, 1.2, 1.1, 1.3], ["", "", BACK, ""]),
        # a bag that starts again: one frame is lost
        ([90.0, 90.1, 3.0, 3.1, 3.2], ["", "", BACK, "", ""]),
        # one stamp from the future, and one every other time
        ([1.0, 500.0, 1.1, 1.2], ["", "", "", ""]),
        ([1.0, 500.0, 1.1, 500.1, 1.2, 500.2, 1.3], [""] * 7),
        # a zero is no stamp, and changes nothing for the others
        ([7.0, 0.0, 7.1, 0.0], ["", "", "", ""]),
    ],
)
def test_only_the_frame_out_of_order_is_dropped(seconds: list[float], expected: list[str]) -> None:
    assert reasons(*seconds) == expected


@pytest.mark.parametrize(
    "stamp",
    [Time(sec=-1), Time(sec=2**31 - 1), Time(sec=5, nanosec=10**9), Time(sec=-(2**31), nanosec=2**32 - 1)],
)
def test_an_invalid_stamp_is_refused_and_not_remembered(stamp: Time) -> None:
    order = StampOrder()
    assert order.refusal(Time(sec=5)) is None
    refusal = order.refusal(stamp)
    assert refusal is not None and refusal[0] == "bad_stamp"
    assert order.refusal(Time(sec=5, nanosec=1)) is None
