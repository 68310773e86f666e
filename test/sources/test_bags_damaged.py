# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Bags that are truncated, damaged, renamed or hostile; test_bags.py has intact ones."""

import random
import sqlite3
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rosbags", reason="rosbags is not installed")
from rosbags.rosbag1 import Writer as Ros1Writer
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore
from written_bags import PIXELS, STORE, Image, depth, image, write_bag

from seg_node.sources.bags.companions import find_companions, read_with_companions
from seg_node.sources.bags.frames import describe_bag, read_bag
from seg_node.sources.bags.mcap import MCAP_MAGIC
from seg_node.sources.bags.storage import unpack, zstd
from seg_node.sources.source import open_source

ROS1 = get_typestore(Stores.ROS1_NOETIC)


def read(path: Path) -> tuple[list[str], list[tuple[str, str]]]:
    """Names of the frames, and the reported errors."""
    told: list[tuple[str, str]] = []
    frames = read_bag(path, on_error=lambda name, error: told.append((name, str(error))))
    return [name for name, _ in frames], told


def names(stem: str, *indices: int) -> list[str]:
    return [f"{stem}_{index:06d}" for index in indices]


def one_file(folder: Path) -> Path:
    (file,) = (file for file in folder.iterdir() if file.name != "metadata.yaml")
    return file


def large(index: int) -> Any:
    """An image of 15 KB, so that a bag of them can be cut inside one."""
    return image(index, np.random.default_rng(index).integers(0, 256, (50, 100, 3), np.uint8))


def write_ros1(path: Path, compression: Any = None) -> Path:
    writer = Ros1Writer(path)
    if compression:
        writer.set_compression(compression)
    kinds = ("std_msgs/msg/Header", "builtin_interfaces/msg/Time", Image.__msgtype__)
    header, time, kind = (ROS1.types[name] for name in kinds)
    with writer:
        connection = writer.add_connection("/image", Image.__msgtype__, typestore=ROS1)
        for index in range(3):
            message = kind(header(index, time(1 + index, 0), "x"), 4, 6, "bgr8", 0, 18, PIXELS.reshape(-1))
            writer.write(connection, (1 + index) * 10**9, ROS1.serialize_ros1(message, Image.__msgtype__))
    return path


# --- truncated --------------------------------------------------------------------------------------


def test_the_complete_messages_of_an_unclosed_mcap_are_read(tmp_path: Path) -> None:
    bag = write_bag(tmp_path / "run", {"/image": [large(index) for index in range(4)]})
    file = one_file(bag)
    data = file.read_bytes()
    for share, count in ((0.6, 2), (0.9, 3)):
        file.write_bytes(data[: int(len(data) * share)])
        assert describe_bag(bag).count == count
        found, told = read(bag)
        assert found == names("run", *range(count))
        assert told == [("run", f"{file.name} was not closed; repair it by: mcap recover {file.name}")]
    file.write_bytes(data[:60])
    with pytest.raises(ValueError, match=r"no images on any topic \(\); .* was not closed; .* mcap recover"):
        describe_bag(bag)


@pytest.mark.parametrize("mode", [CompressionMode.STORAGE, CompressionMode.MESSAGE])
def test_an_unclosed_compressed_mcap_is_read_too(tmp_path: Path, mode: CompressionMode) -> None:
    writer = Writer(tmp_path / "run", version=9, storage_plugin=StoragePlugin.MCAP)
    writer.set_compression(mode, CompressionFormat.ZSTD)
    with writer:
        connection = writer.add_connection("/image", Image.__msgtype__, typestore=STORE)
        for index in range(4):
            writer.write(connection, index * 10**8, STORE.serialize_cdr(large(index), Image.__msgtype__))
    file = one_file(tmp_path / "run")
    file.write_bytes(
        file.read_bytes()[:-2000] if mode == CompressionMode.MESSAGE else file.read_bytes()[:-20]
    )
    found, told = read(tmp_path / "run")
    assert names("run", 0, 1) == found[:2] and "mcap recover" in told[-1][1]


def test_a_recording_that_ros1_did_not_close_says_how_to_repair_it(tmp_path: Path) -> None:
    active = write_ros1(tmp_path / "run.bag").rename(tmp_path / "run.bag.active")
    data = bytearray(active.read_bytes())
    at = data.index(b"index_pos=") + 10
    data[at : at + 8] = bytes(8)
    active.write_bytes(data)
    with pytest.raises(ValueError, match=r"not indexed.*; repair it by: rosbag reindex run\.bag\.active"):
        open_source([active])


def test_messages_that_sqlite_has_not_written_into_the_bag_are_reported(tmp_path: Path) -> None:
    bag = write_bag(tmp_path / "run", {"/image": [image(0)]}, StoragePlugin.SQLITE3)
    (bag / "run.db3-wal").write_bytes(b"something")
    found, told = read(bag)
    assert found == names("run", 0) and "PRAGMA wal_checkpoint" in told[0][1]


@pytest.mark.parametrize(
    "text", ["", "rosbag2_bagfile_information:\n", "relative_file_paths: []", "a: [[[[", "\0"]
)
def test_metadata_that_cannot_be_read_says_how_to_repair_it(tmp_path: Path, text: str) -> None:
    bag = write_bag(tmp_path / "run", {"/image": [image(0)]})
    (bag / "metadata.yaml").write_text(text)
    with pytest.raises(ValueError, match=r"metadata\.yaml .*; repair it by: ros2 bag reindex .*/run\)"):
        open_source([bag])


@pytest.mark.parametrize(
    "listed", ["\n    - run.mcap", '\n    - "run.mcap"', " [run.mcap]", "\n  - old/run.mcap"]
)
def test_metadata_may_list_its_files_in_any_yaml_style(tmp_path: Path, listed: str) -> None:
    bag = write_bag(tmp_path / "run", {"/image": [image(0)]})
    text = f"rosbag2_bagfile_information:\n  version: 9\n  relative_file_paths:{listed}\n  duration: 5\n"
    (bag / "metadata.yaml").write_text(text)
    assert read(bag) == (names("run", 0), [])


# --- damaged ----------------------------------------------------------------------------------------


def write_with_garbage(path: Path, storage: StoragePlugin, where: set[int]) -> Path:
    with Writer(path, version=9, storage_plugin=storage) as writer:
        images = writer.add_connection("/image", Image.__msgtype__, typestore=STORE)
        depths = writer.add_connection("/depth", Image.__msgtype__, typestore=STORE)
        for index in range(4):
            for connection, message in ((images, image(index)), (depths, depth(index))):
                data = STORE.serialize_cdr(message, Image.__msgtype__)
                writer.write(connection, index * 10**8, data[:20] if index in where else data)
    return path


@pytest.mark.parametrize("storage", StoragePlugin)
@pytest.mark.parametrize("where", [{0}, {0, 1, 2}, {2}])
def test_a_damaged_message_costs_itself_also_if_it_is_the_first(
    tmp_path: Path, storage: StoragePlugin, where: set[int]
) -> None:
    bag = write_with_garbage(tmp_path / "run", storage, where)
    found, told = read(bag)
    assert found == names("run", *sorted({0, 1, 2, 3} - where))
    assert [name for name, _ in told] == names("run", *sorted(where))
    companions = find_companions(bag)
    assert [(each.name, each.role) for each in companions] == [("/depth", "depth")]
    shots = list(read_with_companions(bag, None, companions, lambda *_: None))
    assert [name for name, *_ in shots] == found and sum(len(own) for *_, own in shots) == 4 - len(where)


def test_a_topic_without_readable_messages_is_chosen_last(tmp_path: Path) -> None:
    bag = write_with_garbage(tmp_path / "run", StoragePlugin.MCAP, {0, 1, 2, 3})
    with pytest.raises(ValueError, match="several image topics"):
        describe_bag(bag)
    told: list[str] = []
    assert not list(read_bag(bag, "/image", lambda name, _: told.append(name)))
    assert told == names("run", 0, 1, 2, 3)


def test_a_damaged_page_of_a_database_costs_the_messages_in_it(tmp_path: Path) -> None:
    bag = write_bag(
        tmp_path / "run", {"/image": [large(index) for index in range(20)]}, StoragePlugin.SQLITE3
    )
    file = one_file(bag)
    data = bytearray(file.read_bytes())
    at = data.index(large(10).data.tobytes()[:50]) // 4096 * 4096
    data[at : at + 4096] = b"\xff" * 4096
    file.write_bytes(data)
    found, told = read(file)
    assert 5 < len(found) < 20 and told


def test_a_damaged_index_of_a_database_costs_nothing(tmp_path: Path) -> None:
    bag = write_bag(tmp_path / "run", {"/image": [image(index) for index in range(9)]}, StoragePlugin.SQLITE3)
    file = one_file(bag)
    with sqlite3.connect(file) as database:
        ((page,),) = database.execute("SELECT rootpage FROM sqlite_master WHERE name = 'timestamp_idx'")
    data = bytearray(file.read_bytes())
    data[(page - 1) * 4096 : page * 4096] = b"\xff" * 4096
    file.write_bytes(data)
    assert read(file) == (names("run", *range(9)), [])


def test_a_damaged_chunk_of_an_mcap_costs_that_chunk(tmp_path: Path) -> None:
    chunks = [chunk([message(large(index), index)]) for index in range(4)]
    broken = chunks[1].replace(large(1).data.tobytes()[:40], bytes(40))
    unmeasured = bytearray(chunks[2])
    unmeasured[1:9] = struct.pack("<Q", 2**50)  # its length; the summary has the next chunk
    file = tmp_path / "run.mcap"
    parts = [chunks[0], broken, bytes(unmeasured), chunks[3]]
    starts = np.cumsum([len(MCAP_MAGIC + HEAD), *map(len, parts[:3])]).tolist()
    index = b"".join(
        record(8, struct.pack("<QQQQIQ", 0, 0, start, 0, 0, 0) + text("") + bytes(16)) for start in starts
    )
    file.write_bytes(mcap(*parts, summary=index))
    found, told = read(file)
    assert found == names("run", 0, 1)
    assert [text for _, text in told] == [
        f"run.mcap: part at byte {starts[1] + 9} is damaged (its checksum is wrong)",
        f"run.mcap is damaged at byte {starts[2]}; repair it by: mcap recover run.mcap",
    ]


# --- other names ------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [CompressionMode.FILE, CompressionMode.MESSAGE])
@pytest.mark.parametrize("storage", StoragePlugin)
def test_compressed_bags_are_read_as_folder_and_as_file(
    tmp_path: Path, storage: StoragePlugin, mode: CompressionMode
) -> None:
    writer = Writer(tmp_path / "run", version=9, storage_plugin=storage)
    writer.set_compression(mode, CompressionFormat.ZSTD)
    with writer:
        connection = writer.add_connection("/image", Image.__msgtype__, typestore=STORE)
        writer.write(connection, 0, STORE.serialize_cdr(image(0), Image.__msgtype__))
    file = one_file(tmp_path / "run")
    for path in (tmp_path / "run", file):
        assert read(path) == (names("run", 0), [])
    (tmp_path / "run/metadata.yaml").unlink()
    assert open_source([tmp_path / "run"]).kind == "bag"


def test_a_bag_is_known_by_its_content(tmp_path: Path) -> None:
    for storage in StoragePlugin:
        bag = write_bag(tmp_path / storage.name, {"/image": [image(0)]}, storage)
        renamed = one_file(bag).rename(tmp_path / f"{storage.name}#%41?.old")
        assert open_source([renamed]).kind == "bag"
        assert len(read(renamed)[0]) == 1
    assert open_source([write_ros1(tmp_path / "a.bag").rename(tmp_path / "ros1")]).count == 3


@pytest.mark.parametrize("compression", [None, *Ros1Writer.CompressionFormat])
def test_bags_of_ros1_are_read(tmp_path: Path, compression: Any) -> None:
    assert read(write_ros1(tmp_path / "run.bag", compression)) == (names("run", 0, 1, 2), [])


# --- hostile ----------------------------------------------------------------------------------------


def record(opcode: int, content: bytes) -> bytes:
    return bytes([opcode]) + struct.pack("<Q", len(content)) + content


def text(value: str) -> bytes:
    return struct.pack("<I", len(value)) + value.encode()


HEAD = b"".join(
    (
        record(1, text("ros2") + text("")),
        record(3, struct.pack("<H", 1) + text(Image.__msgtype__) + text("ros2msg") + text("")),
        record(4, struct.pack("<HH", 1, 1) + text("/image") + text("cdr") + text("")),
    )
)


def message(of: Any, time_ns: int = 0) -> bytes:
    data = STORE.serialize_cdr(of, Image.__msgtype__)
    return record(5, struct.pack("<HIQQ", 1, 0, time_ns, time_ns) + bytes(data))


def chunk(records: list[bytes], compression: str = "", size: int | None = None) -> bytes:
    import zlib

    plain = b"".join(records)
    packed = zstd().compress(plain) if compression == "zstd" else plain
    declared, checksum = (len(plain), zlib.crc32(plain)) if size is None else (size, 0)
    head = struct.pack("<QQQI", 0, 0, declared, checksum) + text(compression)
    return record(6, head + struct.pack("<Q", len(packed)) + packed)


def mcap(*parts: bytes, summary: bytes = b"") -> bytes:
    data = MCAP_MAGIC + HEAD + b"".join(parts) + record(0x0F, bytes(4))
    footer = record(2, struct.pack("<QQI", len(data) if summary else 0, 0, 0))
    return data + summary + footer + MCAP_MAGIC


ZEROS = bytes(2**20)


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ([chunk([ZEROS], "zstd", 2**40)], "bytes are declared"),
        ([chunk([ZEROS], "zstd", 100)], "the expected 100 bytes"),
        ([chunk([record(0, b"")] * 200_000, "zstd")], "more messages than its size allows"),
        ([chunk([ZEROS], "zstdd", 2**20)], "unknown compression 'zstdd'"),
        ([b"\x05" + struct.pack("<Q", 2_700_000_000) + bytes(1000)], "is damaged at byte"),
        ([b"\x05" + struct.pack("<Q", 2**63) + bytes(1000)], "is damaged at byte"),
    ],
)
def test_what_an_mcap_declares_is_checked_before_it_is_read(
    tmp_path: Path, parts: list[bytes], words: str
) -> None:
    (tmp_path / "a.mcap").write_bytes(mcap(*parts))
    with pytest.raises(ValueError, match=f"no images on any topic .*{words}"):
        describe_bag(tmp_path / "a.mcap")


@pytest.mark.parametrize("size", [None, 1000])
def test_compressed_data_stays_below_the_limit_and_is_whole(
    monkeypatch: pytest.MonkeyPatch, size: int | None
) -> None:
    monkeypatch.setattr("seg_node.sources.bags.storage.MAX_RECORD", 1000)
    fitting = zstd().compress(bytes(1000))
    assert unpack(fitting, "zstd", size) == bytes(1000)
    for data, words in (
        (zstd().compress(bytes(1001)), "the expected 1000 bytes"),
        (zstd().compress(ZEROS), "the expected 1000 bytes"),
        (fitting + fitting, "followed by other data"),
        (fitting[:-1], "cut off|the expected 1000 bytes"),
    ):
        with pytest.raises(ValueError, match=words):
            unpack(data, "zstd", size)
    with pytest.raises(ValueError, match="1001 bytes are declared"):
        unpack(fitting, "zstd", 1001)


SPIN = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i AS id"
TOPICS = "CREATE TABLE topics(id INTEGER PRIMARY KEY, name TEXT, type TEXT, serialization_format TEXT)"
MESSAGES = "CREATE TABLE messages(id INTEGER PRIMARY KEY, topic_id INTEGER, timestamp INTEGER, data BLOB{})"


@pytest.mark.parametrize(
    "statements",
    [
        [TOPICS, f"CREATE VIEW messages AS {SPIN}, 1 AS topic_id, i AS timestamp, x'00' AS data FROM n"],
        [
            MESSAGES.format(""),
            f"CREATE VIEW topics AS {SPIN}, 'a' AS name, 'b' AS type, 'cdr' AS serialization_format FROM n",
        ],
        [TOPICS, MESSAGES.format(" AS (zeroblob(1000000000))")],
        [TOPICS, MESSAGES.format(" AS (zeroblob(1000000000)) STORED")],
    ],
)
def test_a_database_that_computes_what_it_holds_is_refused(tmp_path: Path, statements: list[str]) -> None:
    database = sqlite3.connect(tmp_path / "a.db3")
    for statement in statements:
        database.execute(statement)
    database.close()
    with pytest.raises(ValueError, match=r"its table \w+ has computed columns"):
        describe_bag(tmp_path / "a.db3")


def test_rows_of_other_types_are_left_out(tmp_path: Path) -> None:
    bag = write_bag(tmp_path / "run", {"/image": [image(0)]}, StoragePlugin.SQLITE3)
    with sqlite3.connect(one_file(bag)) as database:
        database.executemany(
            "INSERT INTO messages(topic_id, timestamp, data) VALUES (?, ?, ?)",
            [(1, "text", b""), (1, 5, "text"), ("text", 6, b""), (1, 7, 1.5), (77, 8, b"")],
        )
    found, told = read(bag)
    assert found == names("run", 0) and len(told) == 2


def test_texts_of_a_bag_are_escaped_and_shortened_in_errors(tmp_path: Path) -> None:
    bag = write_bag(tmp_path / "run", {"/front": [image(0)], "/rear": [image(0)]}, StoragePlugin.SQLITE3)
    with sqlite3.connect(one_file(bag)) as database:
        database.execute("UPDATE topics SET name = ? WHERE id = 1", ("/\n\x1b[31m" * 100_000,))
    with pytest.raises(ValueError, match="several image topics") as error:
        describe_bag(bag)
    assert len(str(error.value)) < 1000 and not {"\n", "\x1b"} & set(str(error.value))


@pytest.mark.parametrize(
    "list_of_files",
    [
        "[" * 100_000,
        "\n" + "    - x\n" * 100_000,
        "\n    - " + "[" * 100_000,
        "\n    - &a [*a]\n    - x: {<<: *a}",
        "\n    - .\n",
        "\n    - ..\n",
    ],
)
def test_no_metadata_takes_time_or_leads_elsewhere(tmp_path: Path, list_of_files: str) -> None:
    bag = write_bag(tmp_path / "run", {"/image": [image(0)]})
    (bag / "metadata.yaml").write_text(f"rosbag2_bagfile_information:\n  relative_file_paths:{list_of_files}")
    with pytest.raises(ValueError, match=r"not a readable bag \(metadata\.yaml"):
        describe_bag(bag)


def changed(data: bytes, dice: random.Random) -> bytes:
    """Draw data with one to four damages: bits, numbers, holes, cuts."""
    result = bytearray(data)
    for _ in range(dice.choice((1, 1, 2, 4))):
        at = dice.randrange(len(result))
        size = dice.choice((1, 4, 8, 64, 512))
        kind = dice.randrange(5)
        if kind == 0:
            result[at] ^= 1 << dice.randrange(8)
        elif kind == 1:
            result[at : at + 8] = dice.choice((0, 1, 2**31, 2**32 - 1, 2**63, 2**64 - 1)).to_bytes(
                8, "little"
            )
        elif kind == 2:
            result[at : at + size] = bytes(size)
        elif kind == 3:
            del result[at : at + size]
        else:
            del result[max(at, 100) :]
    return bytes(result)


def samples(folder: Path) -> Iterator[Path]:
    for storage in StoragePlugin:
        topics = {
            "/image": [image(index) for index in range(3)],
            "/depth": [depth(index) for index in range(3)],
        }
        yield one_file(write_bag(folder / storage.name, topics, storage))
    for compression in Ros1Writer.CompressionFormat:
        yield write_ros1(folder / f"{compression.name}.bag", compression)


def test_no_damage_raises_another_error_than_the_documented_one(tmp_path: Path) -> None:
    dice = random.Random(0)
    told: list[str] = []
    for sample in samples(tmp_path):
        data, damaged = sample.read_bytes(), tmp_path / f"damaged{sample.suffix}"
        for _ in range(40):
            damaged.write_bytes(changed(data, dice))
            try:
                describe_bag(damaged)
                list(
                    read_with_companions(
                        damaged, None, find_companions(damaged), lambda _, error: told.append(str(error))
                    )
                )
            except ValueError as error:
                told.append(str(error))
    assert len(told) > 50
