"""What the readers of the three kinds of bag files have in common."""

import bz2
import sys
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

# A message of 64 MP with four bytes a pixel, and its header.
MAX_RECORD = 2**28
ZSTD_START = b"\x28\xb5\x2f\xfd"

OnFault = Callable[[Exception], None]


@dataclass(frozen=True)
class StoredTopic:
    """type: such as "sensor_msgs/msg/Image". count: of its messages."""

    name: str
    type: str
    count: int


@dataclass(frozen=True)
class Contents:
    """What a bag file holds.

    topics: one entry a connection, several may have a name. start_ns, end_ns: times of the first and last
    message, 0 without any. fault: what is wrong with the file, empty for nothing.
    """

    topics: list[StoredTopic]
    start_ns: int
    end_ns: int
    fault: str = ""


class Recorded(NamedTuple):
    """One message as it was recorded. type: as in StoredTopic. time_ns: of recording. data: serialised."""

    topic: str
    type: str
    time_ns: int
    data: bytes | memoryview


class Storage(Protocol):
    """One bag file, opened."""

    def contents(self) -> Contents:
        """May take as long as reading all messages."""
        ...

    def messages(self, topics: Collection[str], on_fault: OnFault) -> Iterator[Recorded]:
        """The messages of those topics in the order of their times; on_fault is told what is left out."""
        ...

    def close(self) -> None: ...


def unpacked(message: Recorded) -> bytes | memoryview:
    """The data of a message, decompressed where a recorder compressed it by itself: CDR begins with 00."""
    is_packed = bytes(message.data[: len(ZSTD_START)]) == ZSTD_START
    return unpack(message.data, "zstd") if is_packed else message.data


def unpack(
    data: bytes | memoryview, compression: str, size: int | None = None, is_cut: bool = False
) -> bytes:
    """Decompressed data of at most MAX_RECORD bytes.

    compression: zstd, lz4 or bz2. size: as declared. is_cut: known to be cut off; what there is, is returned.

    Raises ValueError when it is larger, of another size or cut off, and the decompressor's own errors.
    """
    if size is not None and size > MAX_RECORD:
        raise ValueError(f"{size} bytes are declared, over {MAX_RECORD}")
    decompressor = _decompressor(compression)
    most = MAX_RECORD if size is None else size
    parts, length = [decompressor.decompress(data, max_length=most + 1)], 0
    while not decompressor.eof and not decompressor.needs_input and parts[-1]:
        length += len(parts[-1])
        if length > most:
            break
        parts.append(decompressor.decompress(b"", max_length=most + 1 - length))
    whole = b"".join(parts)
    if len(whole) > most or (size not in (None, len(whole)) and not is_cut):
        raise ValueError(f"compressed data is not of the {most} bytes that it may have")
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
    raise ValueError(f"compression {compression[:20]!r} is not known")


def zstd() -> Any:
    """The module. Imported only where it is needed, like lz4: an installation from packages may lack them."""
    if sys.version_info >= (3, 14):
        from compression import zstd as module
    else:
        from backports import zstd as module
    return module
