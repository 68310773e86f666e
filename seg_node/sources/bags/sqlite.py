# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Read ROS 2 bags in SQLite (.db3) message by message, so that damage costs only the messages in it."""

import os
import sqlite3
from collections import Counter
from collections.abc import Collection, Iterator
from pathlib import Path
from urllib.parse import quote

from seg_node.sources.bags.storage import MAX_RECORD, Contents, OnFault, Recorded, StoredTopic
from seg_node.untrusted.printable import reason

SQLITE_MAGIC = b"SQLite format 3\0"
# Views and computed columns run code of the file, possibly forever; rosbag2 creates neither.
_COMPUTED = """
    SELECT name FROM sqlite_master WHERE type NOT IN ('table', 'index') OR sql LIKE '%VIRTUAL%'
    UNION SELECT m.name FROM sqlite_master AS m, pragma_table_xinfo(m.name) AS c
    WHERE m.type = 'table' AND c.hidden != 0"""
# Without the index, which may be damaged. Rows whose time has another type are damaged too.
_ROWS = "SELECT rowid, topic_id, timestamp FROM messages NOT INDEXED WHERE typeof(timestamp) = 'integer'"
_DATA = "SELECT data FROM messages WHERE rowid = ? AND length(data) <= ?"

_Row = tuple[int, int, int]  # rowid, topic_id, timestamp


class SqliteBag:
    """A `seg_node.sources.bags.storage.Storage` for SQLite."""

    def __init__(self, path: Path) -> None:
        """Open the bag. Raises ValueError or sqlite3.Error if it cannot be read."""
        self._unwritten = _unwritten(path)
        self._name = path.name
        # Immutable: SQLite then writes no files next to it. The name may be any bytes.
        uri = f"file:{quote(os.fsencode(path))}?mode=ro&immutable=1"
        self._database = sqlite3.connect(uri, uri=True)
        self._database.text_factory = lambda text: text.decode(errors="replace")
        try:
            self._database.execute("PRAGMA trusted_schema = OFF")
            if computed := self._database.execute(_COMPUTED).fetchone():
                raise ValueError(
                    f"its table {computed[0]} has computed columns or is a view, which no recorder writes"
                )
            rows = self._database.execute(
                "SELECT id, name, type, serialization_format FROM topics"
            ).fetchall()
        except sqlite3.Error as error:
            self.close()
            raise ValueError(f"{reason(error)}; {self._repair}") from error
        self._topics = {
            key: (str(name), str(kind) if encoding == "cdr" else f"{kind} ({encoding})")
            for key, name, kind, encoding in rows
        }

    def contents(self) -> Contents:
        counts, times, fault = self._count()
        topics = [StoredTopic(name, kind, counts[key]) for key, (name, kind) in self._topics.items()]
        return Contents(topics, min(times, default=0), max(times, default=0), fault or self._unwritten)

    def close(self) -> None:
        self._database.close()

    def messages(self, topics: Collection[str], on_fault: OnFault) -> Iterator[Recorded]:
        rows = self._rows([key for key, (name, _) in self._topics.items() if name in topics])
        while (found := self._next(rows, on_fault)) is not None:
            row, key, time_ns = found
            topic, kind = self._topics[key]
            try:
                data = self._read(row)
            except (sqlite3.Error, ValueError) as error:
                on_fault(ValueError(f"{topic}: message in row {row} is damaged ({reason(error)})"))
                continue
            yield Recorded(topic, kind, time_ns, data)
        if self._unwritten:
            on_fault(ValueError(self._unwritten))

    @property
    def _repair(self) -> str:
        return f"repair it by: sqlite3 {self._name} .recover | sqlite3 NEW.db3"

    def _count(self) -> tuple[Counter[int], list[int], str]:
        """Messages per topic key, times that include the first and the last, and the first damage found."""
        sums = f"SELECT topic_id, COUNT(*), MIN(timestamp), MAX(timestamp) FROM ({_ROWS}) GROUP BY topic_id"
        faults: list[Exception] = []
        try:
            rows = self._database.execute(sums).fetchall()
        except sqlite3.Error:  # rows before the damage can be counted one by one
            rows = []
            found = self._rows(None)
            while (row := self._next(found, faults.append)) is not None:
                rows.append((row[1], 1, row[2], row[2]))
        counts: Counter[int] = Counter()
        for key, count, *_ in rows:
            counts[key] += count
        return counts, [time for row in rows for time in row[2:]], str(faults[0]) if faults else ""

    def _rows(self, keys: list[int] | None) -> Iterator[_Row]:
        """Rows by time or, if damage prevents sorting, in storage order. keys: None for all topics."""
        chosen = _ROWS if keys is None else f"{_ROWS} AND topic_id IN ({','.join('?' * len(keys))})"
        try:
            rows = self._database.execute(f"{chosen} ORDER BY timestamp, rowid", keys or ())
            first = rows.fetchone()
        except sqlite3.Error:
            rows = self._database.execute(chosen, keys or ())
            first = rows.fetchone()
        if first is not None:
            yield first
        for row in rows:  # noqa: UP028, `yield from` would close the cursor, possibly after the database
            yield row

    def _next(self, rows: Iterator[_Row], on_fault: OnFault) -> _Row | None:
        try:
            return next(rows, None)
        except sqlite3.Error as error:
            on_fault(ValueError(f"{self._name}: {reason(error)}; {self._repair}"))
            return None

    def _read(self, row: int) -> bytes:
        found = self._database.execute(_DATA, (row, MAX_RECORD)).fetchone()
        if found is None or not isinstance(found[0], bytes):
            raise ValueError(f"it has no data, or more than {MAX_RECORD} bytes")
        data: bytes = found[0]
        return data


def _unwritten(path: Path) -> str:
    """Describe the log that a killed recorder left next to the file; empty if there is none."""
    log = path.with_name(f"{path.name}-wal")
    if not log.exists() or not log.stat().st_size:
        return ""
    repair = f"sqlite3 {path.name} 'PRAGMA wal_checkpoint(TRUNCATE)'"
    return f"{log.name} holds messages that are not in {path.name} yet; repair it by: {repair}"
