# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""ROS bag → camera frames and what belongs to them (seg_node.sources.source, bags, bag_companions)."""

from itertools import islice
from pathlib import Path
from random import Random

from fuzz import recordings
from fuzz.target import Input, Target
from seg_node.sources.bags.companions import find_companions, read_with_companions
from seg_node.sources.source import open_source

_MOST = 20  # frames of one bag


def make(random: Random) -> Input:
    return recordings.broken(random)


def run(fields: Input, folder: Path) -> None:
    bag = folder / "bag"
    bag.mkdir()
    path = bag / fields["name"]
    path.write_bytes(fields["data"])
    if fields["metadata"] is not None:
        (bag / "metadata.yaml").write_text(fields["metadata"], errors="replace")
        path = bag

    def skip(name: str, error: Exception) -> None:
        assert str(error) or name

    source = open_source([path], on_error=skip)
    assert all(frame.pixels.size for _, frame in islice(source.frames, _MOST))
    companions = find_companions(path)
    for _ in islice(read_with_companions(path, None, companions, skip), _MOST):
        pass


def _database(statement: str) -> Input:
    data = recordings.with_sql(recordings.samples()[".db3"][0], [statement])
    return {"name": "bag.db3", "data": data, "metadata": None}


TARGET = Target(
    "bag",
    make,
    run,
    (ValueError, FileNotFoundError),
    known={
        "messages of a gigabyte that are not in the file": lambda: _database(recordings.LARGE_MESSAGES),
        "no data": lambda: _database("UPDATE messages SET data = 5"),
        "a topic without a name": lambda: _database("UPDATE topics SET name = NULL"),
        "a chunk that unpacks to 2 GB": lambda: {
            "name": "bag.mcap",
            "data": recordings.with_large_chunk(2 << 30),
            "metadata": None,
        },
    },
)
