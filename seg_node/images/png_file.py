# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""PNG files from messages; chunks are checked before decoding.

A small file can declare, and unpack to, gigabytes. Section numbers refer to the W3C's PNG specification.
"""

import io
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from seg_node.images.buffer import MAX_PIXELS, ImageError, check_size
from seg_node.images.opencv_file import decode_by_opencv
from seg_node.untrusted.printable import printable

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_CHUNK = struct.Struct(">I4s")  # length, name; followed by the data and a checksum of 4 bytes
_HEADER = struct.Struct(">IIBBBBB")
_CHUNK_OVERHEAD = 12  # bytes of length, name and checksum
_MAX_CHUNKS = 1 << 16  # 64 MP of BGRA in chunks of 4 KB, half the size of libpng's
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # colour type → channels in the file. Table 11.1
_DECODED_CHANNELS = {0: 1, 2: 3, 3: 3, 4: 4, 6: 4}  # colour type → channels from OpenCV; 4 with tRNS
_PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
"""(first column, first row, columns apart, rows apart) of Adam7. Section 8.2"""
_TO_BGR = {2: cv2.COLOR_RGB2BGR, 6: cv2.COLOR_RGBA2BGRA}

_PIXEL_BYTES = 4  # the limit is max_pixels of 8-bit BGRA, or half as many pixels of 16 bits

# libpng unpacks all the data, whatever the size of the image. Deflate compresses by at most 1032, and zlib
# takes about 2 s per GB: data that cannot exceed this size goes to libpng unchecked.
_MAX_DEFLATE_RATIO = 1032
_MAX_UNPACKED_BYTES = 512_000_000
_SLICE_BYTES = 1 << 14  # compressed bytes per step, which unpack to 17 MB at most


@dataclass(frozen=True)
class _Png:
    """The header of a complete file and the chunks that its pixels need."""

    width: int
    height: int
    depth: int
    colour: int
    interlaced: bool
    chunks: tuple[tuple[bytes, memoryview], ...]

    @property
    def file(self) -> bytes:
        """The file without texts, profiles and animation frames, which libpng would unpack too."""
        return b"".join([PNG_SIGNATURE, *(chunk for _, chunk in self.chunks)])

    @property
    def transparent(self) -> bool:
        return any(name == b"tRNS" for name, _ in self.chunks)

    @property
    def packed(self) -> Sequence[memoryview]:
        return [chunk[8:-4] for name, chunk in self.chunks if name == b"IDAT"]

    @property
    def rows_size(self) -> int:
        """Bytes of the filtered rows of all passes."""
        total = 0
        for x, y, dx, dy in _PASSES if self.interlaced else ((0, 0, 1, 1),):
            columns, rows = max(0, -(-(self.width - x) // dx)), max(0, -(-(self.height - y) // dy))
            if columns:
                total += rows * (1 + -(-columns * self.depth * _CHANNELS[self.colour] // 8))
        return total


def decode_png(data: bytes, max_pixels: int = MAX_PIXELS) -> NDArray[Any]:
    """Decode a whole PNG file to uint8 or uint16, (H, W) grey, (H, W, 3) BGR or (H, W, 4) BGRA.

    Raises ImageError: truncated_data (no end, or a chunk longer than the data), corrupt_image, empty_image,
    too_large.
    """
    png = _read(data, max_pixels)
    channels = 4 if png.transparent else _DECODED_CHANNELS[png.colour]
    pixel_bytes = channels * (2 if png.depth == 16 else 1)
    if png.height * png.width * pixel_bytes > _PIXEL_BYTES * max_pixels:
        raise ImageError(
            "too_large",
            f"PNG of {png.width}x{png.height} has {pixel_bytes} bytes per pixel, over "
            f"{_PIXEL_BYTES * max_pixels / 1e6:g} MB; send a smaller one or 8 bits, or raise max_pixels",
        )
    if sum(map(len, png.packed)) * _MAX_DEFLATE_RATIO > _MAX_UNPACKED_BYTES:
        simple = not png.transparent and (png.colour, png.depth) in ((0, 8), (0, 16), (2, 8), (6, 8))
        if simple and png.height * png.width <= MAX_PIXELS:  # Pillow warns above 89 million
            return _decode_by_pillow(png)
        _check_unpacked(png)
    return decode_by_opencv(png.file, f"PNG of {png.width}x{png.height}")


def _read(data: bytes, max_pixels: int) -> _Png:
    """Read the IHDR chunk, which comes first (section 11.2.1), and find the other chunks."""
    start = len(PNG_SIGNATURE)
    if len(data) < start + _CHUNK_OVERHEAD + _HEADER.size or _CHUNK.unpack_from(data, start) != (13, b"IHDR"):
        raise ImageError("corrupt_image", f"PNG of {len(data)} bytes has no IHDR chunk; check the publisher")
    width, height, depth, colour, packing, filtering, interlacing = _HEADER.unpack_from(data, start + 8)
    if colour not in _CHANNELS or depth not in (1, 2, 4, 8, 16) or packing or filtering or interlacing > 1:
        raise ImageError(
            "corrupt_image",
            f"PNG header has colour type {colour}, {depth} bits, compression {packing}, filter {filtering}, "
            f"interlacing {interlacing}, which do not exist; check the publisher",
        )
    check_size(height, width, max_pixels)
    return _Png(width, height, depth, colour, interlacing == 1, tuple(_needed_chunks(data)))


def _needed_chunks(data: bytes) -> list[tuple[bytes, memoryview]]:
    """List (name, whole chunk) of the chunks up to IEND that affect the pixels."""
    view, chunks, at = memoryview(data), [], len(PNG_SIGNATURE)
    for _ in range(_MAX_CHUNKS):
        if len(data) - at < _CHUNK_OVERHEAD:
            raise ImageError(
                "truncated_data",
                f"PNG of {len(data)} bytes has no IEND chunk: it is truncated; check the publisher",
            )
        length, name = _CHUNK.unpack_from(data, at)
        end = at + _CHUNK_OVERHEAD + length
        if end > len(data):
            raise ImageError(
                "truncated_data",
                f"PNG chunk {printable(name.decode('latin-1'))} has {length} bytes, but only "
                f"{len(data) - at - _CHUNK_OVERHEAD} are left: truncated or damaged; check the publisher",
            )
        if not name[0] & 0x20 or name == b"tRNS":  # critical chunks begin with upper case. Section 5.4
            chunks.append((name, view[at:end]))
        if name == b"IEND":
            return chunks
        at = end
    raise ImageError("corrupt_image", f"PNG has over {_MAX_CHUNKS} chunks; check the publisher")


def _decode_by_pillow(png: _Png) -> NDArray[Any]:
    """Decode with Pillow, which stops unpacking at the last pixel. It is as fast but lacks 16-bit colours."""
    try:
        with Image.open(io.BytesIO(png.file), formats=("PNG",)) as image:
            pixels = np.asarray(image)
    except Exception as error:  # Pillow raises many types for damaged files
        raise ImageError(
            "corrupt_image",
            f"PNG of {png.width}x{png.height} cannot be decoded ({printable(str(error))}); "
            "check the publisher",
        ) from error
    if png.colour in _TO_BGR:
        return np.asarray(cv2.cvtColor(pixels, _TO_BGR[png.colour]))
    return pixels.astype(np.uint16 if png.depth == 16 else np.uint8, copy=False)


def _check_unpacked(png: _Png) -> None:
    """Raise ImageError if the image data unpack to more than the image."""
    unpacker, unpacked = zlib.decompressobj(), 0
    try:
        for part in png.packed:
            for start in range(0, len(part), _SLICE_BYTES):
                unpacked += len(unpacker.decompress(part[start : start + _SLICE_BYTES]))
                if unpacked > png.rows_size:
                    raise ImageError(
                        "corrupt_image",
                        f"PNG of {png.width}x{png.height} unpacks to more than its {png.rows_size} bytes; "
                        "check the publisher",
                    )
                if unpacker.eof:
                    return
    except zlib.error as error:
        raise ImageError(
            "corrupt_image", f"PNG image data cannot be unpacked ({error}); check the publisher"
        ) from error
