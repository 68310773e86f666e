# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""The interface of the three bag readers, and decompression with limits."""

import bz2
import sys
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

# a message of 64 MP with four bytes per pixel, and its header
MAX_RECORD = 2**28
ZSTD_START = b"\x28\xb5\x2f\xfd"

OnFault = Callable[[Exception], None]


@dataclass(frozen=True)
class StoredTopic:
    """A topic in a bag file. type: such as "sensor_msgs/msg/Image". count: number of messages."""

    name: str
    type: str
    count: int


@dataclass(frozen=True)
class Contents:
    """The contents of a bag file.

    topics: one entry per connection, names may repeat. start_ns, end_ns: times of the first and last message,
    0 without any. fault: damage to the file, empty if it is intact.
    """

    topics: list[StoredTopic]
    start_ns: int
    end_ns: int
    fault: str = ""


class Recorded(NamedTuple):
    """One recorded message. type: as in StoredTopic. time_ns: of recording. data: serialised."""

    topic: str
    type: str
    time_ns: int
    data: bytes | memoryview


class Storage(Protocol):
    """An open bag file."""

    def contents(self) -> Contents:
        """Topics, times and damage. May take as long as reading all messages."""
        ...

    def messages(self, topics: Collection[str], on_fault: OnFault) -> Iterator[Recorded]:
        """Messages of these topics in the order of their times; on_fault is called for skipped damage."""
        ...

    def close(self) -> None: ...


def unpacked(message: Recorded) -> bytes | memoryview:
    """Decompress a message that its recorder compressed; plain CDR begins with 00, unlike zstd."""
    is_packed = bytes(message.data[: len(ZSTD_START)]) == ZSTD_START
    return unpack(message.data, "zstd") if is_packed else message.data


def unpack(
    data: bytes | memoryview, compression: str, size: int | None = None, is_cut: bool = False
) -> bytes:
    """Decompress data to at most MAX_RECORD bytes.

    compression: zstd, lz4 or bz2. size: as declared. is_cut: whether the data are known to be truncated; the
    available part is then returned.

    Raises ValueError if the result is larger, of another size or truncated, and the decompressor's errors.
    """
    if size is not None and size > MAX_RECORD:
        raise ValueError(f"{size} bytes are declared, over {MAX_RECORD}")
    decompressor = _decompressor(compression)
    limit = MAX_RECORD if size is None else size
    parts, length = [decompressor.decompress(data, max_length=limit + 1)], 0
    while not decompressor.eof and not decompressor.needs_input and parts[-1]:
        length += len(parts[-1])
        if length > limit:
            break
        parts.append(decompressor.decompress(b"", max_length=limit + 1 - length))
    whole = b"".join(parts)
    if len(whole) > limit or (size not in (None, len(whole)) and not is_cut):
        raise ValueError(f"compressed data does not unpack to the expected {limit} bytes")
    if not decompressor.eof and not is_cut:
        raise ValueError("compressed data is cut off")
    if decompressor.unused_data:
        raise ValueError("compressed data is followed by other data")
    return whole


def _decompressor(compression: str) -> Any:
    if compression == "bz2":
        return bz2.BZ2Decompressor()
    if compression == "lz4":
        import lz4.frame  # type: ignore[import-untyped]

        return lz4.frame.LZ4FrameDecompressor()
    if compression == "zstd":
        return zstd().ZstdDecompressor()
    raise ValueError(f"unknown compression {compression[:20]!r}")


def zstd() -> Any:
    """Import the zstd module, only when needed, like lz4: an installation from packages may lack them."""
    if sys.version_info >= (3, 14):
        from compression import zstd as module
    else:
        from backports import zstd as module
    return module
