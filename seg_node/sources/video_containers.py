# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Recognise video containers by their first bytes, and detect truncated and damaged ones."""

import os
from pathlib import Path
from typing import BinaryIO, Literal

Container = Literal["mov", "matroska", "avi", "mpegts", "mpeg", "mpegvideo", "asf", "flv", "ogg"]

# FFmpeg's demuxers for these open only the file itself; those for playlists (HLS, DASH …) open others.
CONTAINERS: tuple[Container, ...] = (
    "mov",
    "matroska",
    "avi",
    "mpegts",
    "mpeg",
    "mpegvideo",
    "asf",
    "flv",
    "ogg",
)
CONTAINER_NAMES = "MP4, MOV, 3GP, Matroska, WebM, AVI, MPEG, ASF, FLV, Ogg"

_STARTS: dict[bytes, Container] = {
    b"\x1aE\xdf\xa3": "matroska",
    b"FLV\x01": "flv",
    b"0&\xb2u\x8ef\xcf\x11": "asf",
    b"OggS": "ogg",
    b"\x00\x00\x01\xba": "mpeg",
    b"\x00\x00\x01\xb3": "mpegvideo",
}
_MOV_BOXES = frozenset({b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot"})
_PICTURE_BRANDS = frozenset({b"avif", b"avis", b"heic", b"heix", b"heim", b"heis", b"mif1", b"msf1"})
# Bytes per transport packet: plain, with a timestamp (.mts, .m2ts), with error correction
_PACKET_SIZES = (188, 192, 204)
_SYNC = 0x47

# https://www.rfc-editor.org/rfc/rfc9559: segments, clusters, and the elements inside them
_SEGMENT, _CLUSTER = 0x18538067, 0x1F43B675
_ELEMENTS = frozenset(
    {_SEGMENT, _CLUSTER, 0x1A45DFA3, 0x114D9B74, 0x1549A966, 0x1654AE6B, 0x1C53BB6B, 0x1254C367}
    | {0x1043A770, 0x1941A469, 0xEC, 0xBF, 0xE7, 0xA3, 0xA0, 0xAB, 0xA7, 0xAF, 0x5854}
)


_ASF_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")


def find_container(path: str | Path) -> Container | None:
    """Recognise a container by its content; None for any other file, including playlists."""
    with open(path, "rb") as file:
        head = file.read(1024)
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        return "avi"
    if head[4:8] in _MOV_BOXES:
        return None if head[8:12] in _PICTURE_BRANDS else "mov"
    for start, container in _STARTS.items():
        if head.startswith(start):
            return container
    return "mpegts" if _is_transport_stream(head) else None


def is_cut(path: str | Path, container: Container) -> bool:
    """Whether the file ends inside an element or, for Matroska and FLV, has other bytes between elements.

    Always False for containers whose elements do not declare their length.
    """
    checks = {
        "mov": _has_cut_box,
        "matroska": _has_broken_element,
        "flv": _has_broken_tag,
        "asf": _is_shorter_than_stated,
    }
    with open(path, "rb") as file:
        return container in checks and checks[container](file)


def _is_transport_stream(head: bytes) -> bool:
    """Whether four packets follow each other; the first may be incomplete."""
    starts = ((start, size) for size in _PACKET_SIZES for start in range(size))
    return any(head[start : start + 3 * size + 1 : size] == bytes([_SYNC] * 4) for start, size in starts)


def _has_cut_box(file: BinaryIO) -> bool:
    """Walk the boxes. ISO/IEC 14496-12, 4.2: size and type; size 1: 64 bits after the type, 0: to the end."""
    end, at = os.fstat(file.fileno()).st_size, 0
    while at < end:
        file.seek(at)
        head = file.read(16)
        size = int.from_bytes(head[:4], "big")
        if size == 1:
            size = int.from_bytes(head[8:], "big")
        if size == 0:
            return False
        if size < 8 or at + size > end:
            return True
        at += size
    return False


def _has_broken_element(file: BinaryIO) -> bool:
    end, at = os.fstat(file.fileno()).st_size, 0
    while at < end:
        file.seek(at)
        head = file.read(12)
        id_bytes = _number_length(head[:1])
        size_bytes = _number_length(head[id_bytes : id_bytes + 1])
        element = int.from_bytes(head[:id_bytes], "big")
        if not size_bytes or element not in _ELEMENTS:
            return True
        size = int.from_bytes(head[id_bytes : id_bytes + size_bytes], "big") - (1 << 7 * size_bytes)
        is_unknown = size == (1 << 7 * size_bytes) - 1
        at += id_bytes + size_bytes
        if not is_unknown and at + size > end:
            return True
        if element not in (_SEGMENT, _CLUSTER):
            at += size
    return False


def _has_broken_tag(file: BinaryIO) -> bool:
    """Walk the tags. Adobe's FLV 10.1, annex E: type, size (3 bytes), 7 bytes, content, total size (4)."""
    end, at = os.fstat(file.fileno()).st_size, 9 + 4
    while at < end:
        file.seek(at)
        size = 11 + int.from_bytes(file.read(4)[1:], "big")
        file.seek(at + size)
        if int.from_bytes(file.read(4), "big") != size:
            return True
        at += size + 4
    return False


def _is_shorter_than_stated(file: BinaryIO) -> bool:
    """Compare the file size in ASF's file properties object, at byte 40 after its GUID, size and file id."""
    head = file.read(1 << 16)
    at = head.find(_ASF_PROPERTIES)
    stated = int.from_bytes(head[at + 40 : at + 48], "little") if at >= 0 else 0
    return stated > os.fstat(file.fileno()).st_size


def _number_length(first: bytes) -> int:
    """The length of a variable-length number by its first byte: 1 + its leading zero bits; 0 if invalid."""
    return 9 - first[0].bit_length() if first and first[0] else 0
