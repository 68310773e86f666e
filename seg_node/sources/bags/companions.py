# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Read the messages that accompany a camera's images in a bag: calibration, aligned depth and tf.

Messages stay serialised (CDR) for a player to publish; only their stamps are read.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from posixpath import commonpath
from typing import Any, Literal

from seg_node.images.buffer import stamp_to_ns
from seg_node.sources.bags.frames import (
    DEPTH,
    DEPTH_TYPES,
    MAX_COMPARED_TOPICS,
    Bag,
    BagTopic,
    describe_bag,
    image_rank,
    open_bag,
    report,
    with_frames,
)
from seg_node.sources.bags.storage import Recorded, unpacked
from seg_node.sources.bags.topic_frames import VIDEO_SUFFIXES, TopicFrame, TopicFrames, frame_id_of
from seg_node.sources.left_out import OnError
from seg_node.types import Frame
from seg_node.untrusted.printable import one_line

Role = Literal["camera_info", "depth", "tf", "tf_static"]
TF_TYPE = "tf2_msgs/msg/TFMessage"
# Images read ahead, so that a message recorded up to this many images late still joins its own.
READ_AHEAD = 2
_SUFFIXES = ("/compressed", *VIDEO_SUFFIXES)


@dataclass(frozen=True)
class CompanionTopic:
    """A topic and its role for the images. type: such as "sensor_msgs/msg/CameraInfo"."""

    name: str
    type: str
    role: Role


@dataclass(frozen=True)
class Companion:
    """One message of a companion topic. stamp_ns: of its header, or the time of recording if that is 0."""

    topic: CompanionTopic
    stamp_ns: int
    cdr: bytes


def find_companions(
    path: str | Path, topic: str | None = None, depth_topic: str | None = None
) -> tuple[CompanionTopic, ...]:
    """Find the companions of the image topic that `describe_bag` chooses; none in a ROS 1 bag.

    Calibration is `camera_info` next to the image topic. Depth is depth_topic or, if empty, a depth topic
    with the frame_id of the colour images (of several, the one with the most similar name, raw before
    compressed).

    Raises as `describe_bag` does, and ValueError if depth_topic has no images.
    """
    image_topic = describe_bag(path, topic).topic
    with open_bag(path) as bag:
        types = {topic.name: topic.type for topic in bag.contents().topics if topic.count}
        if depth_topic and types.get(depth_topic) not in DEPTH_TYPES:
            images = ", ".join(name for name, kind in types.items() if kind in DEPTH_TYPES)
            where = f"no depth images on topic {depth_topic}; images are on: {one_line(images)}"
            raise ValueError(f"{path}: {where}")
        if not bag.is_ros2:
            return ()
        base = next((image_topic[: -len(end)] for end in _SUFFIXES if image_topic.endswith(end)), image_topic)
        calibration = base.rpartition("/")[0] + "/camera_info"
        roles: dict[str, Role] = {"/tf": "tf", "/tf_static": "tf_static", calibration: "camera_info"}
        wanted = {"tf": TF_TYPE, "tf_static": TF_TYPE, "camera_info": "sensor_msgs/msg/CameraInfo"}
        roles = {name: role for name, role in roles.items() if types.get(name) == wanted[role]}
        depth = depth_topic or _depth_topic(bag, types, image_topic)
        if depth:
            roles[depth] = "depth"
        return tuple(CompanionTopic(name, types[name], role) for name, role in roles.items())


def read_with_companions(
    path: str | Path, topic: str | None, companions: Sequence[CompanionTopic], on_error: OnError | None = None
) -> Iterator[tuple[str, Frame, list[Companion]]]:
    """Read a bag like `read_bag`, each image together with the messages whose stamps are nearest to its own.

    on_error: called for every message that cannot be read; without it ValueError is raised.
    """
    images: deque[tuple[str, Frame, int]] = deque()
    waiting: list[Companion] = []
    for item in _read(path, describe_bag(path, topic), companions, on_error):
        if isinstance(item, Companion):
            waiting.append(item)
            continue
        images.append(item)
        if len(images) > READ_AHEAD:
            name, frame, own, waiting = _next_image(images, waiting)
            yield name, frame, own
    while images:
        name, frame, own, waiting = _next_image(images, waiting)
        yield name, frame, own


def _next_image(
    images: deque[tuple[str, Frame, int]], waiting: list[Companion]
) -> tuple[str, Frame, list[Companion], list[Companion]]:
    """The oldest image with its companions, and the companions of later images."""
    name, frame, stamp_ns = images.popleft()
    if not images or images[0][2] <= stamp_ns:  # the last one, or the stamps jump back
        return name, frame, waiting, []
    middle_ns = (stamp_ns + images[0][2]) // 2
    own = [companion for companion in waiting if companion.stamp_ns <= middle_ns]
    return name, frame, own, [companion for companion in waiting if companion.stamp_ns > middle_ns]


def _read(
    path: str | Path, image: BagTopic, companions: Sequence[CompanionTopic], on_error: OnError | None
) -> Iterator[tuple[str, Frame, int] | Companion]:
    """Images (name, frame, stamp in ns) and companions in the order of recording."""
    topics = {companion.name: companion for companion in companions}
    frames = TopicFrames()
    index = -1
    with open_bag(path) as bag:
        damage = lambda error: report(str(path), image.name, error, on_error)  # noqa: E731
        for message in bag.messages({image.topic, *topics}, damage):
            is_image = message.topic == image.topic
            index += is_image
            name = f"{image.name}_{index:06d}"
            found: list[TopicFrame] = []
            companion: Companion | None = None
            try:
                if is_image:
                    found = list(frames.read(bag.deserialize(message), name, message.time_ns))
                else:
                    companion = _companion(bag, message, topics[message.topic])
            except Exception as error:  # rosbags' decoder raises many types for damaged bytes
                name = name if is_image else f"{message.topic} near {name}"
                report(f"{path}: {name}", name, error, on_error)
                continue
            if companion is not None:
                yield companion
            for each, frame in with_frames(found, path, on_error):
                yield each.name, frame, each.stamp_ns
        for each, frame in with_frames(frames.end(), path, on_error):
            yield each.name, frame, each.stamp_ns


def _companion(bag: Bag, message: Recorded, topic: CompanionTopic) -> Companion:
    stamp_ns = _stamp_ns(bag.deserialize(message)) or message.time_ns
    return Companion(topic, stamp_ns, bytes(unpacked(message)))


def _stamp_ns(message: Any) -> int:
    """The stamp of the header, or of a TFMessage's first transform; 0 without one."""
    if hasattr(message, "header"):
        stamp = message.header.stamp
    elif message.transforms:
        stamp = message.transforms[0].header.stamp
    else:
        return 0
    return stamp_to_ns(stamp)


def _depth_topic(bag: Bag, types: dict[str, str], image_topic: str) -> str | None:
    image = bag.first_message(image_topic)
    if image is None:
        return None
    found, frame_id = [], frame_id_of(image)
    others = [name for name, kind in types.items() if kind in DEPTH_TYPES and name != image_topic]
    for name in others[:MAX_COMPARED_TOPICS]:
        message = bag.first_message(name)
        if message and image_rank(message) == DEPTH and message.header.frame_id == frame_id:
            found.append(name)
    return max(
        found,
        key=lambda name: (len(commonpath([name, image_topic])), types[name] == DEPTH_TYPES[0]),
        default=None,
    )
