# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""JPEG and PNG files, whole and broken in places where it takes knowledge of the format to break them."""

import struct
import zlib
from functools import lru_cache
from random import Random

import cv2
import numpy as np

from fuzz import mutate

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PART = 1 << 20
Chunk = tuple[bytes, bytes]


@lru_cache
def samples() -> tuple[bytes, ...]:
    """Small pictures: JPEG (baseline, progressive, grey) and PNG (8 and 16 bit; grey, colour, alpha)."""
    source = np.random.default_rng(1)
    made = []
    for shape in ((7, 11), (7, 11, 3), (33, 20, 3)):
        pixels = source.integers(0, 256, shape, np.uint8)
        made += [_encoded(".jpg", pixels), _encoded(".jpg", pixels, cv2.IMWRITE_JPEG_PROGRESSIVE, 1)]
        made += [_encoded(".png", pixels), _encoded(".png", pixels.astype(np.uint16) * 257)]
    made.append(_encoded(".png", source.integers(0, 256, (5, 9, 4), np.uint8)))
    return tuple(made)


def _encoded(suffix: str, pixels: np.ndarray, *options: int) -> bytes:
    return bytes(cv2.imencode(suffix, pixels, options)[1])


def broken(random: Random) -> bytes:
    """A sample with changed bytes, chunks or segments; now and then whole, or a bomb."""
    file = random.choice(samples())
    match random.randrange(8):
        case 0:
            return file
        case 1 | 2:
            return mutate.mutate_bytes(file, random)
        case 3:
            return many_scans(random.choice((2, 50, 1000)), random.choice((8, 64, 1000, 8000)))
        case 4:
            return large(random)
    return broken_png(file, random) if file.startswith(_PNG_SIGNATURE) else broken_jpeg(file, random)


def broken_png(file: bytes, random: Random) -> bytes:
    """Chunks with other content, order, sizes or claimed lengths; checksums mostly right."""
    chunks = _png_chunks(file)
    at = random.randrange(len(chunks))
    name, content = chunks[at]
    match random.randrange(6):
        case 0:
            chunks[at] = name, mutate.mutate_bytes(content, random)
        case 1:
            chunks[0] = b"IHDR", _ihdr(chunks[0][1], random)
        case 2:
            random.shuffle(chunks)
        case 3:
            chunks[at:at] = [
                (random.choice((b"IDAT", b"PLTE", b"tRNS", b"zTXt", b"IHDR", b"eXIf", b"acTL")), content)
            ]
        case 4:
            del chunks[at]
        case 5:  # a length that the data does not have
            packed = _png(chunks)
            place = packed.find(random.choice((b"IDAT", b"IEND", b"IHDR"))) - 4
            length = random.choice((0, 1, 1 << 20, 0x3FFFFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF))
            return packed[: max(place, 0)] + struct.pack(">I", length) + packed[max(place, 0) + 4 :]
    return _png(chunks)


def long_chunk() -> bytes:
    """A PNG of hundred bytes whose data claims to have 1.9 GB."""
    packed = _png(
        [(b"IHDR", struct.pack(">IIBBBBB", 40, 17, 1, 0, 0, 0, 0)), (b"IDAT", bytes(40)), (b"IEND", b"")]
    )
    place = packed.find(b"IDAT") - 4
    return packed[:place] + struct.pack(">I", 0x71000000) + packed[place + 4 :]


def _png_chunks(file: bytes) -> list[Chunk]:
    chunks, at = [], len(_PNG_SIGNATURE)
    while at + 8 <= len(file):
        (length,) = struct.unpack_from(">I", file, at)
        chunks.append((file[at + 4 : at + 8], file[at + 8 : at + 8 + length]))
        at += 12 + length
    return chunks


def _png(chunks: list[Chunk]) -> bytes:
    packed = [
        struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
        for name, content in chunks
    ]
    return _PNG_SIGNATURE + b"".join(packed)


def _ihdr(content: bytes, random: Random) -> bytes:
    """Width, height, bit depth, colour type, compression, filter, interlace: one or two of them odd."""
    fields = list(struct.unpack(">IIBBBBB", content[:13].ljust(13, b"\0")))
    for at in random.sample(range(7), random.choice((1, 2))):
        fields[at] = mutate.integer(random) if at < 2 else random.choice((0, 1, 2, 3, 4, 6, 8, 16, 255))
    return struct.pack(">IIBBBBB", *fields)


def large(random: Random) -> bytes:
    """A PNG that compresses well: up to 100 megapixels in few bytes."""
    height, width = random.choice(
        ((1, 1_000_000), (1_000_000, 1), (4000, 4000), (8000, 8000), (10_000, 10_000))
    )
    depth, colour, channels = random.choice(
        ((1, 0, 1), (8, 0, 1), (16, 0, 1), (8, 2, 3), (16, 2, 3), (8, 6, 4))
    )
    row = 1 + (width * channels * depth + 7) // 8
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return _png([(b"IHDR", header), (b"IDAT", compressed_zeros(height * row)), (b"IEND", b"")])


def compressed_zeros(count: int) -> bytes:
    """zlib's format of so many bytes 0, in little time: what a part packs to is repeated."""
    packer = zlib.compressobj(9, wbits=-15)
    part = packer.compress(bytes(_PART)) + packer.flush(zlib.Z_FULL_FLUSH)
    end = packer.compress(bytes(count % _PART)) + packer.flush()
    checksum = count % 65521 << 16 | 1  # Adler-32
    return b"\x78\xda" + part * (count // _PART) + end + checksum.to_bytes(4, "big")


def broken_jpeg(file: bytes, random: Random) -> bytes:
    """Segments with other sizes, twice, in another order or missing."""
    segments, rest = _jpeg_segments(file)
    at = random.randrange(len(segments))
    match random.randrange(5):
        case 0:
            frame = next(i for i, segment in enumerate(segments) if segment[1] in (0xC0, 0xC1, 0xC2))
            sizes = struct.pack(">HH", *(mutate.integer(random) & 0xFFFF for _ in range(2)))
            segments[frame] = segments[frame][:5] + sizes + segments[frame][9:]
        case 1:
            segments[at] = mutate.mutate_bytes(segments[at], random)
        case 2:
            random.shuffle(segments)
        case 3:
            segments[at:at] = [segments[at]] * random.choice((1, 20))
        case 4:
            del segments[at]
    return b"\xff\xd8" + b"".join(segments) + rest


def _jpeg_segments(file: bytes) -> tuple[list[bytes], bytes]:
    """The segments before the first scan's data, and the rest."""
    segments, at = [], 2
    while file[at + 1] != 0xDA:
        length = 2 + int.from_bytes(file[at + 2 : at + 4], "big")
        segments.append(file[at : at + length])
        at += length
    return segments, file[at:]


def many_scans(scans: int, size: int) -> bytes:
    """A progressive grey JPEG, size x size, with so many scans of all blocks, each of a few bytes.

    A scan says with 15 bits that 16384 blocks have no further coefficients (EOBRUN; ITU-T T.81, G.1.2.2), and
    the decoder walks them all.
    """
    frame = b"\xff\xc2" + struct.pack(">HBHHB", 11, 8, size, size, 1) + b"\x01\x11\x00"
    quantisation = b"\xff\xdb\x00\x43\x00" + b"\x01" * 64
    blocks = (-(-size // 8)) ** 2
    return b"".join(
        (
            b"\xff\xd8",
            quantisation,
            frame,
            _huffman_table(0x00, 0x00),  # DC: no difference
            _huffman_table(0x10, 0xE0),  # AC: EOB14
            b"\xff\xda\x00\x08\x01\x01\x00\x00\x00\x00" + bytes(blocks // 8 + 1),
            (b"\xff\xda\x00\x08\x01\x01\x00\x01\x3f\x00" + bytes(blocks // 16384 * 15 // 8 + 2)) * scans,
            b"\xff\xd9",
        )
    )


def _huffman_table(place: int, symbol: int) -> bytes:
    """A table whose only code is one bit long."""
    return b"\xff\xc4\x00\x14" + bytes((place, 1)) + bytes(15) + bytes((symbol,))
