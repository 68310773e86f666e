# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""ROS bags, small and valid, and broken in their records, tables and descriptions."""

import sqlite3
import struct
import tempfile
import zlib
from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from fuzz import files, mutate

_STORE = get_typestore(Stores.ROS2_JAZZY)
_MCAP_MAGIC = b"\x89MCAP0\r\n"
_CHUNK = 0x06
# a column that is computed when it is read, and a view in the place of a table
LARGE_MESSAGES = """DROP TABLE messages;
    CREATE TABLE messages(id INTEGER PRIMARY KEY, topic_id, timestamp, data AS (zeroblob(999000000)));
    INSERT INTO messages(topic_id, timestamp) SELECT id, 5 FROM topics"""
_ENDLESS_TOPICS = """ALTER TABLE topics RENAME TO old; CREATE VIEW topics AS WITH RECURSIVE r(id) AS
    (SELECT 1 UNION ALL SELECT id + 1 FROM r) SELECT old.* FROM r, old"""
_SQL = (
    "UPDATE messages SET data = NULL",
    "UPDATE messages SET data = 5",
    "UPDATE messages SET data = x''",
    "UPDATE messages SET data = CAST(data AS TEXT)",
    "UPDATE messages SET timestamp = -1",
    "UPDATE messages SET timestamp = 'a'",
    "UPDATE messages SET timestamp = 9223372036854775807",
    "UPDATE messages SET topic_id = 99",
    "UPDATE topics SET type = 'sensor_msgs/msg/Imu'",
    "UPDATE topics SET type = 'a/b'",
    "UPDATE topics SET type = 5",
    "UPDATE topics SET type = x'ff00'",
    "UPDATE topics SET name = NULL",
    "UPDATE topics SET serialization_format = 'json'",
    "UPDATE topics SET offered_qos_profiles = '- history: [a'",
    "DELETE FROM topics",
    "DELETE FROM messages",
    "DROP TABLE topics",
    "INSERT INTO topics SELECT id + 10, name, 'std_msgs/msg/String', 'cdr', '', '' FROM topics",
    LARGE_MESSAGES,
    _ENDLESS_TOPICS,
)


def _message(name: str, **fields: Any) -> Any:
    return _STORE.types[name](**fields)


def _header(index: int) -> Any:
    stamp = _message("builtin_interfaces/msg/Time", sec=100 + index, nanosec=250)
    return _message("std_msgs/msg/Header", stamp=stamp, frame_id="optical")


@lru_cache
def samples() -> dict[str, tuple[bytes, str]]:
    """Suffix → (bag file, its metadata.yaml): colour, depth and calibration, two messages of each."""
    made = {}
    for storage, suffix in ((StoragePlugin.MCAP, ".mcap"), (StoragePlugin.SQLITE3, ".db3")):
        with tempfile.TemporaryDirectory() as folder:
            bag = Path(folder) / "bag"
            _write(bag, storage)
            made[suffix] = (bag / f"bag{suffix}").read_bytes(), (bag / "metadata.yaml").read_text()
    return made


def _write(path: Path, storage: StoragePlugin) -> None:
    data = np.arange(72, dtype=np.uint8)
    size = {"height": 4, "width": 6, "is_bigendian": 0}
    with Writer(path, version=9, storage_plugin=storage) as writer:
        for topic, name, fields in (
            (
                "/camera/image_raw",
                "sensor_msgs/msg/Image",
                {**size, "encoding": "bgr8", "step": 18, "data": data},
            ),
            (
                "/camera/depth",
                "sensor_msgs/msg/Image",
                {**size, "encoding": "16UC1", "step": 12, "data": data[:48]},
            ),
            ("/camera/compressed", "sensor_msgs/msg/CompressedImage", {"format": "png", "data": _png()}),
        ):
            connection = writer.add_connection(topic, name, typestore=_STORE)
            for index in range(2):
                message = _message(name, header=_header(index), **fields)
                writer.write(connection, index * 10**8, _STORE.serialize_cdr(message, name))


def _png() -> Any:
    return np.frombuffer(files.samples()[-1], np.uint8)


def broken(random: Random) -> dict[str, Any]:
    """name: of the bag file; data: its content; metadata: the metadata.yaml beside it, or None."""
    suffix = random.choice(list(samples()))
    data, metadata = samples()[suffix]
    described = random.random() < 0.3
    if described and random.random() < 0.5:
        metadata = mutate.mutate_bytes(metadata.encode(), random).decode("utf-8", "replace")
    elif random.random() < 0.3:
        data = mutate.mutate_bytes(data, random)
    elif suffix == ".mcap":
        data = _broken_mcap(data, random)
    else:
        data = _broken_sqlite(data, random)
    return {"name": f"bag{suffix}", "data": data, "metadata": metadata if described else None}


def _broken_sqlite(data: bytes, random: Random) -> bytes:
    statements = random.sample(_SQL, random.choice((1, 1, 2)))
    # last, or the other statement would have to walk its endless rows
    return with_sql(data, sorted(statements, key=lambda statement: statement == _ENDLESS_TOPICS))


def with_sql(data: bytes, statements: Sequence[str]) -> bytes:
    """The database after the statements, but for those that do not fit to what the others did."""
    with tempfile.NamedTemporaryFile(suffix=".db3") as file:
        Path(file.name).write_bytes(data)
        database = sqlite3.connect(file.name)
        for statement in statements:
            with suppress(sqlite3.Error):
                database.executescript(statement)
        database.close()
        return Path(file.name).read_bytes()


def _broken_mcap(data: bytes, random: Random) -> bytes:
    """Records with other content or claimed lengths, twice, missing, in another order; bombs."""
    records = _mcap_records(data)
    at = random.randrange(len(records))
    code, content = records[at]
    match random.randrange(6):
        case 0:
            records[at] = code, mutate.mutate_bytes(content, random) if content else b"x"
        case 1:
            del records[at]
        case 2:
            records[at:at] = [records[at]]
        case 3:
            random.shuffle(records)
        case 4:
            packed = _mcap(records)
            place = packed.find(bytes((code,)) + struct.pack("<Q", len(content))) + 1
            length = random.choice((0, 1, 1 << 20, 1 << 40, (1 << 64) - 1, len(content) + 1))
            return packed[:place] + struct.pack("<Q", length) + packed[place + 8 :]
        case 5:
            chunks = [i for i, (code, _) in enumerate(records) if code == _CHUNK]
            if chunks:
                records[chunks[0]] = _CHUNK, _large_chunk(records[chunks[0]][1], random)
    return _mcap(records)


def _mcap_records(data: bytes) -> list[tuple[int, bytes]]:
    records, at = [], len(_MCAP_MAGIC)
    while at + 9 <= len(data) - len(_MCAP_MAGIC):
        (length,) = struct.unpack_from("<Q", data, at + 1)
        records.append((data[at], data[at + 9 : at + 9 + length]))
        at += 9 + length
    return records


def _mcap(records: list[tuple[int, bytes]]) -> bytes:
    packed = [bytes((code,)) + struct.pack("<Q", len(content)) + content for code, content in records]
    return _MCAP_MAGIC + b"".join(packed) + _MCAP_MAGIC


def _large_chunk(content: bytes, random: Random) -> bytes:
    """A chunk that unpacks to much, or claims to (mcap.dev/spec)."""
    size = random.choice((1 << 20, 1500 << 20))
    kind = random.choice((b"zstd", b"zstd", b"lz4", b"", b"gzip", b"x" * 1000))
    packed = zstd_zeros(size) if kind == b"zstd" else zlib.compress(bytes(1000))
    return _chunk(content, random.choice((size, 0, (1 << 63) - 1)), kind, packed)


def _chunk(content: bytes, size: int, kind: bytes, packed: bytes) -> bytes:
    """Start, end, uncompressed size, CRC, compression, records."""
    fields = content[:16] + struct.pack("<QI", size, 0) + struct.pack("<I", len(kind)) + kind
    return fields + struct.pack("<Q", len(packed)) + packed


def with_large_chunk(size: int) -> bytes:
    """The mcap sample, its first chunk replaced by one of `size` bytes 0."""
    records = _mcap_records(samples()[".mcap"][0])
    at = next(i for i, (code, _) in enumerate(records) if code == _CHUNK)
    records[at] = _CHUNK, _chunk(records[at][1], size, b"zstd", zstd_zeros(size))
    return _mcap(records)


def zstd_zeros(size: int) -> bytes:
    """A Zstandard frame of so many bytes 0, as blocks of one repeated byte (RFC 8878, 3.1.1.2.2)."""
    largest = 1 << 17
    blocks = [largest] * (size // largest)
    headers = [
        (length << 3 | 1 << 1 | (i == len(blocks) - 1)).to_bytes(3, "little")
        for i, length in enumerate(blocks)
    ]
    return b"\x28\xb5\x2f\xfd" + b"\x00\x58" + b"".join(header + b"\0" for header in headers)
