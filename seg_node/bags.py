"""Camera frames from ROS bags (sqlite3 and mcap), read without ROS by the package rosbags."""

import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seg_node.images import decode_message
from seg_node.types import Frame

BAG_SUFFIXES = {".mcap", ".db3", ".bag"}
OnError = Callable[[str, Exception], None]
IMAGE_TYPES = ("sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage")


@dataclass(frozen=True)
class BagTopic:
    """The image topic read from a bag: its number of messages and their mean rate (1/s). name: of the bag."""

    name: str
    topic: str
    count: int
    fps: float


def is_bag(path: Path) -> bool:
    """Whether the path is a bag file, or a folder that holds one."""
    if path.is_dir():
        return (path / "metadata.yaml").is_file() or any(
            file.suffix in BAG_SUFFIXES for file in path.iterdir()
        )
    return path.suffix in BAG_SUFFIXES


def describe_bag(path: str | Path, topic: str | None = None) -> BagTopic:
    """Which topic `read_bag` reads, and how much.

    Without a topic: the only one with images; of several the only colour one. A compressed twin of a raw
    topic does not count.

    Raises FileNotFoundError, ValueError when the bag is broken or the topic unclear (the error lists them),
    RuntimeError without the package rosbags.
    """
    with open_bag(path) as reader:
        counts = {
            name: info.msgcount
            for name, info in reader.topics.items()
            if info.msgtype in IMAGE_TYPES and info.msgcount
        }
        chosen = topic or _only_topic(reader, counts)
        if chosen is None or chosen not in counts:
            listed = ", ".join(f"{name} ({count} images)" for name, count in counts.items())
            if not counts:
                raise ValueError(f"{path}: no images on any topic ({', '.join(reader.topics)})")
            if topic:
                raise ValueError(f"{path}: no images on topic {topic}; it has: {listed}")
            raise ValueError(f"{path}: several image topics, choose one with --topic: {listed}")
        periods, seconds = counts[chosen] - 1, reader.duration / 1e9
        fps = periods / seconds if periods and seconds > 1e-3 else 30.0
        name = Path(path).absolute().name
        for suffix in BAG_SUFFIXES:
            name = name.removesuffix(suffix)
        return BagTopic(name, chosen, counts[chosen], fps)


def read_bag(
    path: str | Path, topic: str | None = None, on_error: OnError | None = None
) -> Iterator[tuple[str, Frame]]:
    """Every image of one topic, with the stamp and frame_id of its header; see `describe_bag`.

    on_error: told the name and error of each message that cannot be decoded, which is then left out; without
    it the error, a ValueError, is raised.
    """
    bag = describe_bag(path, topic)
    with open_bag(path) as reader:
        connections = [connection for connection in reader.connections if connection.topic == bag.topic]
        for index, (connection, _, raw) in enumerate(reader.messages(connections)):
            name = f"{bag.name}_{index:06d}"
            try:
                frame = decode_message(reader.deserialize(raw, connection.msgtype))
            except Exception as error:  # bytes of a damaged bag break rosbags' decoder in many ways
                tell_bad_message(f"{path}: message {index} of {bag.topic}", name, error, on_error)
                continue
            yield name, frame


def tell_bad_message(where: str, name: str, error: Exception, on_error: OnError | None) -> None:
    """Gives name and error to on_error; without it raises ValueError that begins with `where`."""
    if on_error is None:
        raise ValueError(f"{where}: {error}") from error
    on_error(name, error)


@contextmanager
def open_bag(path: str | Path) -> Iterator[Any]:
    """rosbags' AnyReader, opened; definitions that a bag does not carry are Jazzy's."""
    try:
        from rosbags.highlevel import AnyReader, AnyReaderError
        from rosbags.rosbag2 import ReaderError
        from rosbags.typesys import Stores, get_typestore
    except ImportError:
        raise RuntimeError(f"{path}: reading bags needs the package rosbags: pip install rosbags") from None
    try:
        with AnyReader([_bag_path(Path(path))], default_typestore=get_typestore(Stores.ROS2_JAZZY)) as reader:
            yield reader
    except (AnyReaderError, ReaderError, sqlite3.Error) as error:
        raise ValueError(f"{path}: not a readable bag ({error})") from error


def first_message(reader: Any, topic: str) -> Any:
    """The first message of a topic of an opened bag that has one, deserialised."""
    connections = [connection for connection in reader.connections if connection.topic == topic]
    connection, _, raw = next(reader.messages(connections))
    return reader.deserialize(raw, connection.msgtype)


def image_rank(message: Any) -> int:
    """0 colour, 1 grey, 2 depth, by the encoding of an Image or the format of a CompressedImage."""
    encoding = message.encoding if hasattr(message, "encoding") else message.format
    if re.search("mono16|16UC1|32FC1|compressedDepth", encoding):
        return 2
    return 1 if re.search("mono8|8UC1", encoding) else 0


def _only_topic(reader: Any, counts: dict[str, int]) -> str | None:
    """The one topic that stands out: colour before grey before depth, raw before compressed."""
    ranks: dict[int, list[str]] = {}
    for topic in counts:
        if topic.rpartition("/")[0] not in counts:
            ranks.setdefault(image_rank(first_message(reader, topic)), []).append(topic)
    best = ranks[min(ranks)] if ranks else []
    return best[0] if len(best) == 1 else None


def _bag_path(path: Path) -> Path:
    """What rosbags opens: a folder with metadata.yaml, or the one bag file of a folder without."""
    if not path.is_dir() or (path / "metadata.yaml").is_file():
        return path
    files = sorted(file for file in path.iterdir() if file.suffix in BAG_SUFFIXES)
    if len(files) != 1:
        raise ValueError(f"{path}: holds {len(files)} bag files and no metadata.yaml; name one of the files")
    return files[0]
