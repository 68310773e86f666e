# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Small image files that claim, or unpack to, much more than they are; written from the specifications."""

import struct
import zlib

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def zeros(size: int) -> bytes:
    """A zlib stream of that many zeros, a thousandth of it: one block again and again. RFC 1950, 1951."""

    def block(count: int) -> bytes:
        packer = zlib.compressobj(9, wbits=-15)
        return packer.compress(bytes(count)) + packer.flush(zlib.Z_FULL_FLUSH)

    whole, rest = divmod(size, 1 << 20)
    check = struct.pack(">I", size % 65521 << 16 | 1)
    return b"\x78\xda" + block(1 << 20) * whole + block(rest) + b"\x03\0" + check


def black_png(
    height: int,
    width: int,
    bits: int = 8,
    colour: int = 0,
    unpacked: int | None = None,
    before: bytes = b"",
    piece: int = 1 << 30,
) -> bytes:
    """A black PNG, not interlaced.

    unpacked: bytes of its picture data, None: as many as it has. before: chunks before them. piece: bytes of
    an IDAT chunk.
    """
    row = 1 + -(-width * bits * _CHANNELS[colour] // 8)
    packed = zeros(row * height if unpacked is None else unpacked)
    pieces = [chunk(b"IDAT", packed[start : start + piece]) for start in range(0, len(packed), piece)]
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0))
    palette = chunk(b"PLTE", bytes(768)) if colour == 3 else b""
    return PNG_SIGNATURE + header + palette + before + b"".join(pieces) + chunk(b"IEND", b"")


def segment(marker: int, content: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content


def grey_jpeg(
    height: int, width: int, scans: int = 1, components: int = 1, progressive: bool = True
) -> bytes:
    """A grey JPEG of empty scans; of a sequential one each holds one component.

    Each scan after the first of a progressive one is about the last bits of a component, and passes over all
    blocks by runs of 32767 (T.81, G.1.2.2 and G.1.2.3).
    """
    of_frame = b"".join(bytes([i, 0x11, 0]) for i in range(components))
    frame = struct.pack(">BHHB", 8, height, width, components) + of_frame
    tables = [
        segment(0xC4, bytes([0, 1, 1, *[0] * 14, 0, 1])),  # DC: 1 bit for 0, 2 for 1
        segment(0xC4, bytes([0x10, 1, 1, *[0] * 14, 0xE0, 0])),  # AC: 1 bit for a run of 2¹⁴ and 14 bits
    ]
    parts = [b"\xff\xd8", segment(0xDB, bytes([0] + [1] * 64)), *tables]
    parts.append(segment(0xC2 if progressive else 0xC0, frame))
    if progressive:
        of_all = b"".join(bytes([i, 0]) for i in range(components))
        parts.append(segment(0xDA, bytes([components]) + of_all + bytes([0, 0, 0])))
    count = -(-height // 8) * -(-width // 8) // 32767 + 1
    bits = ("0" + "1" * 14) * count
    runs = int(bits.ljust(2 * count * 8, "1"), 2).to_bytes(2 * count, "big").replace(b"\xff", b"\xff\0")
    for index in range(scans - progressive):
        spectrum = bytes([1, 63, 0x01 if index < components else 0x10] if progressive else [0, 63, 0])
        parts.append(segment(0xDA, bytes([1, index % components, 0]) + spectrum))
        parts.append(runs if progressive else b"")
    return b"".join(parts) + b"\xff\xd9"
