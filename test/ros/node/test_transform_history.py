# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""TF for one camera, when time goes on, jumps back, and is another one for some; on tf2 too where it is."""

import importlib.util
import threading
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not in this environment")

from geometry_msgs.msg import TransformStamped
from plain_tf_buffer import NoTransform, PlainBuffer

from seg_node.ros.node.locate import NotLocated, Space
from seg_node.ros.node.transform_history import TransformHistory
from seg_node.spatial.lift import Object3D
from seg_node.types import Frame

MS = 1_000_000
NAN, INF = float("nan"), float("inf")
BUFFERS = ["plain", "tf2"] if importlib.util.find_spec("tf2_ros") else ["plain"]


@pytest.fixture(params=BUFFERS)
def history(request: pytest.FixtureRequest) -> TransformHistory:
    if request.param == "plain":
        return TransformHistory(PlainBuffer(), NoTransform, "base")
    import tf2_ros

    return TransformHistory(tf2_ros.Buffer(), tf2_ros.TransformException, "base")


def transform(ms: int, x: float, child: str = "camera") -> TransformStamped:
    """The child at x in base, turned by 180 degrees about z."""
    message = TransformStamped(child_frame_id=child)
    message.header.frame_id = "base"
    message.header.stamp.sec, message.header.stamp.nanosec = ms // 1000, ms % 1000 * MS
    message.transform.translation.x = x
    message.transform.rotation.z, message.transform.rotation.w = 1.0, 0.0
    return message


def send(history: TransformHistory, *stamps_ms: int, child: str = "camera") -> None:
    """The child at x = its time in seconds."""
    for ms in stamps_ms:
        history.set_transform(transform(ms, ms / 1000, child), "test")


def space(ms: int, frame_id: str = "camera") -> Space:
    """One object a metre before the camera."""
    place = np.array([0.0, 0.0, 1.0])
    found = Object3D(3, 7, 0.5, place, place, np.eye(3), np.ones(3), 9, 1.0)
    return Space((found,), Frame(np.zeros((2, 3, 3), np.uint8), "bgr", ms * MS, frame_id), in_camera=True)


def x(history: TransformHistory, ms: int) -> float | None:
    """Where the object is in base; None if TF does not know."""
    try:
        moved = history.move(space(ms))
    except NotLocated as error:
        assert error.reason == "no_transform"
        return None
    assert (moved.frame.frame_id, moved.frame.stamp_ns, moved.in_camera) == ("base", ms * MS, False)
    assert moved.objects[0].centroid[1:].tolist() == pytest.approx([0, 1])
    return float(moved.objects[0].centroid[0])


def test_objects_are_where_the_camera_was_at_the_images_stamp(history: TransformHistory) -> None:
    send(history, 100_000, 100_100)
    assert x(history, 100_000) == pytest.approx(100)
    assert x(history, 100_050) == pytest.approx(100.05)
    assert x(history, 0) == pytest.approx(100.1)  # an image without a stamp: the newest
    assert x(history, 99_999) is None
    assert x(history, 100_101) is None


def test_the_first_new_transforms_after_a_jump_back_are_used(history: TransformHistory) -> None:
    history.saw(200_000 * MS)
    send(history, *range(190_000, 200_000, 100))
    history.saw(100_000 * MS)
    assert x(history, 195_000) is None
    send(history, 100_000, 100_100)
    assert x(history, 100_050) == pytest.approx(100.05)


@pytest.mark.parametrize("late", [[200_100], [200_100, 200_200, 200_300]])
def test_a_transform_from_before_a_jump_that_comes_after_it_blocks_nothing(
    late: list[int], history: TransformHistory
) -> None:
    history.saw(200_000 * MS)
    send(history, 199_900, 200_000)
    history.saw(100_000 * MS)
    send(history, *late)  # still in the executor's queue
    send(history, 100_000, 100_100)
    assert x(history, 100_050) == pytest.approx(100.05)


def test_images_without_stamps_use_the_transforms_after_a_jump_too(history: TransformHistory) -> None:
    history.saw(0)
    send(history, 200_000)
    history.saw(0)
    send(history, 100_000)
    assert x(history, 0) == pytest.approx(100)


def test_one_transform_from_the_future_blocks_nothing(history: TransformHistory) -> None:
    history.saw(100_000 * MS)
    send(history, 2_000_000_000, 100_000, 100_100)
    assert x(history, 100_050) == pytest.approx(100.05)


def test_a_transform_from_the_past_removes_nothing(history: TransformHistory) -> None:
    history.saw(100_000 * MS)
    send(history, 100_000, 5_000, 100_100)
    assert x(history, 100_050) == pytest.approx(100.05)


def test_images_slightly_out_of_order_remove_nothing(history: TransformHistory) -> None:
    send(history, 100_000, 100_100)
    for ms in (100_100, 100_050, 100_200, 99_300, 0):
        history.saw(ms * MS)
    assert x(history, 100_050) == pytest.approx(100.05)


def test_other_frames_on_another_clock_remove_nothing(history: TransformHistory) -> None:
    history.saw(100_000 * MS)
    send(history, 100_000)
    send(history, 50_000, 50_100, child="arm")
    send(history, 900_000, 900_100, child="wheel")
    send(history, 100_100)
    assert x(history, 100_050) == pytest.approx(100.05)


def test_static_transforms_outlive_a_jump(history: TransformHistory) -> None:
    history.saw(200_000 * MS)
    history.set_transform_static(transform(0, 4.0), "test")
    history.saw(100_000 * MS)
    history.forget()
    assert x(history, 100_000) == pytest.approx(4)


def test_dynamic_transforms_are_cleared_when_the_clock_jumps(history: TransformHistory) -> None:
    send(history, 100_000)
    history.forget()
    assert x(history, 0) is None


@pytest.mark.parametrize("frame_id", ["", "/camera", "another", "a\0b", "\ud800", "x" * 10_000])
def test_a_frame_unknown_to_tf_gives_no_transform(frame_id: str, history: TransformHistory) -> None:
    send(history, 100_000)
    with pytest.raises(NotLocated, match=r"target_frame 'base'.*same clock") as caught:
        history.move(space(100_000, frame_id))
    assert caught.value.reason == "no_transform"


@pytest.mark.parametrize("ms", [-1, -(2**40), 2**31 * 1000, 2**62])
def test_an_invalid_stamp_gives_no_transform(ms: int, history: TransformHistory) -> None:
    send(history, 100_000)
    history.saw(ms * MS)
    with pytest.raises(NotLocated) as caught:
        history.move(space(ms))
    assert caught.value.reason == "no_transform"


@pytest.mark.parametrize("value", [NAN, INF, -INF, 1e300])
@pytest.mark.parametrize("field", ["translation.x", "rotation.w"])
def test_an_invalid_transform_gives_no_objects(field: str, value: float) -> None:
    """tf2 itself refuses some of these; whatever gets through ends here."""
    history = TransformHistory(PlainBuffer(), NoTransform, "base")
    message = transform(100_000, 0.0)
    part, name = field.split(".")
    setattr(getattr(message.transform, part), name, value)
    history.set_transform_static(message, "test")
    with pytest.raises(NotLocated, match=r"'camera' to target_frame 'base'.*check its publisher") as caught:
        history.move(space(100_000))
    assert caught.value.reason == "bad_transform"


def test_an_unforeseen_fault_affects_only_the_objects() -> None:
    class Broken(PlainBuffer):
        def lookup_transform(self, *_: Any) -> TransformStamped:
            raise KeyError("camera")

    with pytest.raises(NotLocated, match="KeyError: 'camera'") as caught:
        TransformHistory(Broken(), NoTransform, "base").move(space(100_000))
    assert isinstance(caught.value.unforeseen_cause, KeyError)


def test_two_cameras_seconds_apart_do_not_disturb_each_other() -> None:
    early, late = (TransformHistory(PlainBuffer(), NoTransform, "base") for _ in range(2))
    lost = 0
    for ms in range(100_000, 110_000, 100):
        for history in (early, late):
            send(history, ms)
        late.saw(ms * MS)
        early.saw((ms - 1500) * MS)
        lost += x(late, ms) is None
        lost += ms >= 101_500 and x(early, ms - 1500) is None
    assert lost == 0


def test_threads_may_set_look_up_and_reset_at_once(history: TransformHistory) -> None:
    rounds, failures = 300, []

    def guarded(work: Any) -> None:
        try:
            for number in range(rounds):
                work(number)
        except Exception as error:
            failures.append(error)

    works = [
        lambda n: send(history, 100_000 + n),
        lambda n: history.saw((200_000 if n % 2 else 100_000) * MS),
        lambda n: x(history, 0),
        lambda n: history.forget(),
    ]
    threads = [threading.Thread(target=guarded, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    history.saw(100_000 * MS)
    send(history, 100_000)
    assert x(history, 0) is not None
