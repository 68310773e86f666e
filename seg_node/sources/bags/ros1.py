# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Read ROS 1 bags with rosbags."""

from collections.abc import Collection, Iterator
from pathlib import Path

from seg_node.sources.bags.storage import Contents, OnFault, Recorded, StoredTopic
from seg_node.untrusted.memory_limit import limited_memory
from seg_node.untrusted.printable import reason

ROS1_MAGIC = b"#ROSBAG V2.0\n"
CHUNK_BYTES = 400_000_000


class Ros1Bag:
    """A `seg_node.sources.bags.storage.Storage` for ROS 1; types have their ROS 2 names."""

    def __init__(self, path: Path) -> None:
        """Open the bag. Raises ValueError if it cannot be read."""
        from rosbags.rosbag1 import Reader

        self._path = path
        try:
            self._reader = Reader(path)
            self._reader.open()
        except Exception as error:  # rosbags' reader raises many types for damaged bytes
            raise ValueError(f"{reason(error)}; repair it by: rosbag reindex {path.name}") from error

    def contents(self) -> Contents:
        connections = self._reader.connections
        topics = [StoredTopic(each.topic, each.msgtype, each.msgcount) for each in connections]
        if not any(topic.count for topic in topics):
            return Contents(topics, 0, 0)
        return Contents(topics, self._reader.start_time, self._reader.end_time)

    def close(self) -> None:
        self._reader.close()

    def messages(self, topics: Collection[str], on_fault: OnFault) -> Iterator[Recorded]:
        connections = [each for each in self._reader.connections if each.topic in topics]
        if not connections:  # rosbags would read all
            return
        try:
            messages = self._reader.messages(connections)
            while True:
                with limited_memory(CHUNK_BYTES):  # rosbags decompresses whole chunks, however large
                    found = next(messages, None)
                if found is None:
                    return
                connection, time_ns, data = found
                yield Recorded(connection.topic, connection.msgtype, time_ns, data)
        except Exception as error:  # rosbags' reader raises many types for damaged bytes
            on_fault(ValueError(f"{self._path.name} is damaged, its rest is not read ({reason(error)})"))
