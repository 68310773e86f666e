# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Read MCAP files record by record, so that unclosed and damaged ones give their intact messages.

https://mcap.dev/spec: a record is its opcode, the length of its content (8 bytes) and the content.
"""

import os
from array import array
from collections import Counter
from collections.abc import Collection, Iterator
from pathlib import Path
from zlib import crc32

from seg_node.sources.bags.storage import MAX_RECORD, Contents, OnFault, Recorded, StoredTopic, unpack
from seg_node.untrusted.printable import reason

MCAP_MAGIC = b"\x89MCAP0\r\n"
_FOOTER, _SCHEMA, _CHANNEL, _MESSAGE, _CHUNK = 2, 3, 4, 5, 6
_CHUNK_INDEX, _STATISTICS, _DATA_END = 0x08, 0x0B, 0x0F
# 8 million compressed records fit into 20 KB; a recorder's smallest records take about 10 bytes each.
SPARE_RECORDS, MIN_RECORD_BYTES = 100_000, 4
_HEAD, _FOOTER_CONTENT = 9, 20
_TAIL = _HEAD + _FOOTER_CONTENT + len(MCAP_MAGIC)

_Statistics = tuple[Counter[int], int, int]  # messages by channel, first and last time


class Fields:
    """A cursor over the fields of a record. Raises ValueError beyond its end."""

    def __init__(self, data: memoryview) -> None:
        self._data, self._at = data, 0

    def take(self, size: int) -> memoryview:
        if self._at + size > len(self._data):
            raise ValueError("a record is shorter than its fields")
        self._at += size
        return self._data[self._at - size : self._at]

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "little")

    def text(self) -> str:
        return str(self.take(self.number(4)), "utf-8", "replace")

    def rest(self) -> memoryview:
        return self._data[self._at :]


class McapFile:
    """A `Storage` for MCAP; contents come from the file's summary if it has one."""

    def __init__(self, path: Path) -> None:
        """Open the file and read its summary. Raises OSError, or other errors if it cannot be read at all."""
        self._path = path
        self._schemas: dict[int, str] = {}
        self._channels: dict[int, tuple[str, str]] = {}  # topic and type
        self._chunks: list[int] = []  # their offsets in the file, from the summary
        self._statistics: _Statistics | None = None
        self._file = path.open("rb")
        self._end = os.fstat(self._file.fileno()).st_size
        self._is_closed = self._read_tail()

    def contents(self) -> Contents:
        fault, statistics = "", self._statistics
        if statistics is None or not statistics[0].keys() <= self._channels.keys():
            fault, statistics = self._count()
        counts, start_ns, end_ns = statistics
        topics = [StoredTopic(*channel, counts[key]) for key, channel in self._channels.items()]
        return Contents(topics, start_ns, end_ns, fault)

    @property
    def _repair(self) -> str:
        return f"repair it by: mcap recover {self._path.name}"

    def close(self) -> None:
        self._file.close()

    def messages(self, topics: Collection[str], on_fault: OnFault) -> Iterator[Recorded]:
        for _, found in self._messages(topics, on_fault):
            yield found

    def _messages(self, topics: Collection[str] | None, on_fault: OnFault) -> Iterator[tuple[int, Recorded]]:
        """Pairs (channel, message); of all topics for None."""
        remaining = SPARE_RECORDS + self._end // MIN_RECORD_BYTES
        for opcode, at, length in self._records(len(MCAP_MAGIC), on_fault):
            found: list[tuple[int, Recorded]] = []
            try:
                for record in self._split(opcode, at, length):
                    found.extend(self._take(*record, topics))
                    remaining -= 1
                    if remaining < 0:
                        on_fault(ValueError(f"{self._path.name} has more messages than its size allows"))
                        return
            except Exception as error:  # damaged bytes raise many types
                if at + length < self._end:  # otherwise a truncated last record, reported by _records
                    name = self._path.name
                    on_fault(ValueError(f"{name}: part at byte {at} is damaged ({reason(error)})"))
            yield from sorted(found, key=lambda each: each[1].time_ns)

    def _split(self, opcode: int, at: int, length: int) -> Iterator[tuple[int, memoryview]]:
        """The record itself, the records inside a chunk, or nothing for records that are not needed."""
        if opcode in (_SCHEMA, _CHANNEL, _MESSAGE):
            yield opcode, self._read(at, length)
        elif opcode == _CHUNK:
            yield from _split_chunk(self._read(at, length), may_be_cut=not self._is_closed)

    def _take(
        self, opcode: int, content: memoryview, topics: Collection[str] | None
    ) -> Iterator[tuple[int, Recorded]]:
        """Store schemas and channels; yield messages of the topics."""
        fields = Fields(content)
        if opcode == _SCHEMA:
            key, name = fields.number(2), fields.text()
            self._schemas[key] = name
        elif opcode == _CHANNEL:
            key, schema = fields.number(2), fields.number(2)
            topic, encoding = fields.text(), fields.text()
            type_name = self._schemas.get(schema, "")
            self._channels[key] = topic, type_name if encoding == "cdr" else f"{type_name} ({encoding})"
        elif opcode == _MESSAGE:
            key, _, time_ns, _ = (fields.number(size) for size in (2, 4, 8, 8))
            if key not in self._channels:
                raise ValueError(f"a message has the unknown channel {key}")
            topic, kind = self._channels[key]
            if topics is None or topic in topics:
                yield key, Recorded(topic, kind, time_ns, fields.rest())

    def _records(self, at: int, on_fault: OnFault) -> Iterator[tuple[int, int, int]]:
        """(opcode, start of content, its length) of the data; skips damage up to the next known chunk."""
        while at < self._end:
            self._file.seek(at)
            head = self._file.read(_HEAD)
            opcode, length = head[0], int.from_bytes(head[1:], "little")
            if opcode == _DATA_END:
                break
            if len(head) == _HEAD and at + _HEAD + length <= self._end:
                yield opcode, at + _HEAD, length
                at += _HEAD + length
            elif self._is_closed:
                on_fault(ValueError(f"{self._path.name} is damaged at byte {at}; {self._repair}"))
                at = next((chunk for chunk in self._chunks if chunk > at), self._end)
            else:
                yield opcode, at + _HEAD, max(self._end - at - _HEAD, 0)
                break
        if not self._is_closed:
            on_fault(ValueError(f"{self._path.name} was not closed; {self._repair}"))

    def _read(self, at: int, length: int) -> memoryview:
        if length > MAX_RECORD:
            raise ValueError(f"{length} bytes are declared, over {MAX_RECORD}")
        self._file.seek(at)
        return memoryview(self._file.read(length))

    def _read_tail(self) -> bool:
        """Read footer and summary; return whether there is a footer, that is, the file was closed."""
        self._file.seek(max(self._end - _TAIL, 0))
        tail = self._file.read()
        head = bytes([_FOOTER]) + _FOOTER_CONTENT.to_bytes(8, "little")
        if not (tail.startswith(head) and tail.endswith(MCAP_MAGIC) and len(tail) == _TAIL):
            return False
        summary = int.from_bytes(tail[_HEAD : _HEAD + 8], "little")
        if 0 < summary < self._end:
            try:
                self._read_summary(summary, self._end - _TAIL)
            except Exception:  # damaged: contents() then counts the messages instead
                self._statistics = None
        return True

    def _read_summary(self, start: int, end: int) -> None:
        for opcode, content in _split_records(self._read(start, max(end - start, 0))):
            fields = Fields(content)
            if opcode in (_SCHEMA, _CHANNEL):
                list(self._take(opcode, content, ()))
            elif opcode == _CHUNK_INDEX:
                fields.take(16)
                self._chunks.append(fields.number(8))
            elif opcode == _STATISTICS:
                fields.take(8 + 2 + 4 + 4 + 4 + 4)
                start_ns, end_ns = fields.number(8), fields.number(8)
                pairs, counts = Fields(fields.take(fields.number(4))), Counter[int]()
                while pairs.rest():
                    key, count = pairs.number(2), pairs.number(8)
                    counts[key] = count
                self._statistics = counts, start_ns, end_ns
        self._chunks.sort()

    def _count(self) -> tuple[str, _Statistics]:
        """Count all messages, if the summary lacks statistics; also returns the last damage found."""
        faults: list[Exception] = []
        counts, times = Counter[int](), array("Q")
        for key, message in self._messages(None, faults.append):
            counts[key] += 1
            times.append(message.time_ns)
        fault = str(faults[-1]) if faults else ""
        return fault, (counts, min(times, default=0), max(times, default=0))


def _split_records(data: memoryview) -> Iterator[tuple[int, memoryview]]:
    """(opcode, content) of every record."""
    fields = Fields(data)
    while fields.rest():
        opcode = fields.number(1)
        yield opcode, fields.take(fields.number(8))


def _split_chunk(content: memoryview, may_be_cut: bool) -> Iterator[tuple[int, memoryview]]:
    fields = Fields(content)
    fields.take(16)  # times of the first and last message
    size, checksum, compression = fields.number(8), fields.number(4), fields.text()
    declared = fields.number(8)
    records = fields.rest()[:declared]
    is_cut = len(records) < declared
    if is_cut and not may_be_cut:
        raise ValueError("it is shorter than its records")
    plain = memoryview(unpack(records, compression, size, is_cut)) if compression else records
    if checksum and not is_cut and crc32(plain) != checksum:
        raise ValueError("its checksum is wrong")
    return _split_records(plain)
