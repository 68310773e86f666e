# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Read camera frames from ROS bags (sqlite3, mcap and ROS 1), without ROS.

The package rosbags deserialises messages with ROS's own definitions; those in a bag are not trusted.
"""

import functools
import itertools
import re
from collections.abc import Collection, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from seg_node.sources.bags.files import bag_name, find_files, is_bag, open_file
from seg_node.sources.bags.ros1 import Ros1Bag
from seg_node.sources.bags.storage import Contents, OnFault, Recorded, Storage, StoredTopic, unpacked
from seg_node.sources.bags.topic_frames import VIDEO_TYPES, TopicFrame, TopicFrames, is_video
from seg_node.sources.left_out import OnError
from seg_node.types import Frame
from seg_node.untrusted.memory_limit import limited_memory
from seg_node.untrusted.printable import one_line, reason
from seg_node.video import decoder

__all__ = ["Bag", "BagTopic", "describe_bag", "is_bag", "open_bag", "read_bag"]

DEPTH_TYPES = ("sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage")
IMAGE_TYPES = (*DEPTH_TYPES, *VIDEO_TYPES)
MAX_TRIED_MESSAGES = 1000
MAX_COMPARED_TOPICS = 100  # whose first message is read
COLOUR, GREY, DEPTH, UNREADABLE = range(4)


@dataclass(frozen=True)
class BagTopic:
    """An image topic, its number of messages and mean rate (1/s). name: of the bag."""

    name: str
    topic: str
    count: int
    fps: float


class Bag:
    """An open bag. is_ros2: whether its messages are CDR."""

    def __init__(self, path: Path, storages: list[Storage]) -> None:
        self._path = path
        self._storages = storages
        self.is_ros2 = not any(isinstance(storage, Ros1Bag) for storage in storages)
        self._types = _typestore(self.is_ros2)

    def contents(self) -> Contents:
        """Merge the contents of all files, topics sorted by name. May take as long as reading all messages.

        Raises ValueError if the bag is too damaged.
        """
        with _boundary(self._path):
            found = [storage.contents() for storage in self._storages]
        topics: dict[str, StoredTopic] = {}
        for topic in sorted((topic for each in found for topic in each.topics), key=lambda topic: topic.name):
            before = topics.get(topic.name)
            count = topic.count + (before.count if before else 0)
            topics[topic.name] = replace(topic, count=count)
        filled = [each for each in found if any(topic.count for topic in each.topics)]
        return Contents(
            list(topics.values()),
            min((each.start_ns for each in filled), default=0),
            max((each.end_ns for each in filled), default=0),
            "; ".join(each.fault for each in found if each.fault),
        )

    def messages(self, topics: Collection[str], on_fault: OnFault) -> Iterator[Recorded]:
        """Messages of these topics in the order of recording; on_fault is called for skipped damage."""
        for storage in self._storages:
            messages = storage.messages(topics, on_fault)
            while (message := _next(messages, on_fault)) is not None:
                yield message

    def deserialize(self, message: Recorded) -> Any:
        """Deserialise to an object with ROS's fields. Raises errors of any type for damaged bytes."""
        read = self._types.deserialize_cdr if self.is_ros2 else self._types.deserialize_ros1
        with limited_memory():
            return read(unpacked(message), message.type)

    def first_message(self, topic: str) -> Any | None:
        """The first readable one of MAX_TRIED_MESSAGES messages, or None."""
        messages = self.messages([topic], lambda _: None)
        for message in itertools.islice(messages, MAX_TRIED_MESSAGES):
            try:
                return self.deserialize(message)
            except Exception:  # damaged, which is reported when the topic is read
                continue
        return None


@contextmanager
def open_bag(path: str | Path) -> Iterator[Bag]:
    """Open a bag.

    Raises FileNotFoundError, ValueError for a broken bag, RuntimeError if the package rosbags is missing.
    """
    try:
        import rosbags.typesys  # noqa: F401
    except ImportError:
        raise RuntimeError(f"{path}: reading bags needs the package rosbags: pip install rosbags") from None
    with ExitStack() as stack:
        with _boundary(Path(path)), limited_memory():
            bag = Bag(Path(path), [open_file(file, stack) for file in find_files(Path(path))])
        yield bag


def describe_bag(path: str | Path, topic: str | None = None) -> BagTopic:
    """Choose the topic that `read_bag` reads, and describe it.

    topic: None for the only image topic or, of several, the only colour one. A raw topic's compressed twin is
    ignored.

    Raises FileNotFoundError; ValueError if the bag is broken or the topic ambiguous (the error lists them);
    RuntimeError if the package rosbags is missing, or for a video PyAV.
    """
    with open_bag(path) as bag:
        contents = bag.contents()
        images = [each for each in contents.topics if each.type in IMAGE_TYPES]
        counts = {each.name: each.count for each in images if each.count}
        chosen = topic or _only_topic(bag, counts)
        if chosen is None or chosen not in counts:
            listed = one_line(", ".join(f"{name} ({count} images)" for name, count in counts.items()))
            if not counts:
                names = one_line(", ".join(each.name for each in contents.topics))
                fault = contents.fault and f"; {contents.fault}"
                raise ValueError(f"{path}: no images on any topic ({names}){fault}")
            if topic:
                raise ValueError(f"{path}: no images on topic {topic}; it has: {listed}")
            raise ValueError(f"{path}: several image topics, choose one with --topic: {listed}")
        if not decoder.installed() and any(
            each.name == chosen and each.type in VIDEO_TYPES for each in images
        ):
            raise RuntimeError(f"{path}: {chosen} is a video; {decoder.MISSING}")
        periods, seconds = counts[chosen] - 1, (contents.end_ns - contents.start_ns) / 1e9
        fps = periods / seconds if periods and seconds > 1e-3 else 30.0
        return BagTopic(bag_name(Path(path)), chosen, counts[chosen], fps)


def read_bag(
    path: str | Path, topic: str | None = None, on_error: OnError | None = None
) -> Iterator[tuple[str, Frame]]:
    """Read every image of one topic, with the stamp and frame_id of its header; see `describe_bag`.

    on_error: called with name and error of each message that cannot be decoded, which is then skipped, and
    for damage to the bag; without it the error, a ValueError, is raised.
    """
    topic = topic or describe_bag(path).topic
    name = bag_name(Path(path))
    frames = TopicFrames()
    with open_bag(path) as bag:
        messages = bag.messages([topic], lambda error: report(str(path), name, error, on_error))
        for index, message in enumerate(messages):
            frame_name = f"{name}_{index:06d}"
            try:
                found = list(frames.read(bag.deserialize(message), frame_name, message.time_ns))
            except Exception as error:  # rosbags' decoder raises many types for damaged bytes
                where = f"{path}: message {index} of {topic}"
                report(where, frame_name, error, on_error)
                continue
            for each, frame in with_frames(found, path, on_error):
                yield each.name, frame
        for each, frame in with_frames(frames.end(), path, on_error):
            yield each.name, frame


def with_frames(
    found: Iterable[TopicFrame], path: str | Path, on_error: OnError | None
) -> Iterator[tuple[TopicFrame, Frame]]:
    """Yield those that have a frame, with it; report the others as `report` does.

    A video that begins between two key frames is reported to on_error only.
    """
    for each in found:
        if each.frame is not None:
            yield each, each.frame
        elif each.error is not None and (each.is_fault or on_error is not None):
            report(f"{path}: {each.name}", each.name, each.error, on_error)


def report(where: str, name: str, error: Exception, on_error: OnError | None) -> None:
    """Call on_error with name and error; without it raise ValueError whose text begins with `where`."""
    if on_error is None:
        raise ValueError(f"{where}: {reason(error)}") from error
    on_error(name, error)


def image_rank(message: Any | None) -> int:
    """Rank an Image's encoding or a CompressedImage's format: COLOUR, GREY, DEPTH or UNREADABLE."""
    if message is None:
        return UNREADABLE
    if is_video(message):
        return COLOUR
    encoding = message.encoding if hasattr(message, "encoding") else message.format
    if re.search("mono16|16UC1|32FC1|compressedDepth", encoding):
        return DEPTH
    return GREY if re.search("mono8|8UC1", encoding) else COLOUR


def _only_topic(bag: Bag, counts: dict[str, int]) -> str | None:
    """The best-ranked topic if it is unique: colour before grey before depth, raw before compressed."""
    ranks: dict[int, list[str]] = {}
    raw = [topic for topic in counts if topic.rpartition("/")[0] not in counts]
    if len(raw) > MAX_COMPARED_TOPICS:
        return None
    for topic in raw:
        ranks.setdefault(image_rank(bag.first_message(topic)), []).append(topic)
    best = ranks[min(ranks)] if ranks else []
    return best[0] if len(best) == 1 else None


@functools.cache  # because a store compiles its functions on first use, 10 ms each
def _typestore(is_ros2: bool) -> Any:
    """ROS's own message definitions, and those of videos."""
    from rosbags.typesys import Stores, get_types_from_msg, get_typestore

    if not is_ros2:
        return get_typestore(Stores.ROS1_NOETIC)
    store = get_typestore(Stores.ROS2_JAZZY)
    for name, definition in VIDEO_TYPES.items():
        store.register(get_types_from_msg(definition, name))
    return store


@contextmanager
def _boundary(path: Path) -> Iterator[None]:
    """Turn the many error types that damaged bytes raise into ValueError."""
    try:
        yield
    except FileNotFoundError:
        raise
    except Exception as error:
        raise ValueError(f"{path}: not a readable bag ({reason(error)})") from error


def _next(messages: Iterator[Recorded], on_fault: OnFault) -> Recorded | None:
    try:
        return next(messages, None)
    except Exception as error:  # damage that the file's reader did not handle
        on_fault(ValueError(f"the rest is not read ({reason(error)})"))
        return None
