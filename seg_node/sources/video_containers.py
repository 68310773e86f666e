"""Video containers, told by their first bytes, and whether one of them is cut off or has a hole."""

import os
from pathlib import Path
from typing import BinaryIO, Literal

Container = Literal["mov", "matroska", "avi", "mpegts", "mpeg", "mpegvideo", "asf", "flv", "ogg"]

# FFmpeg's demuxers of these open no file or address beside their own; those of playlists (HLS, DASH …) do.
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
# Bytes from one transport packet to the next: plain, with a time stamp (.mts, .m2ts), with error correction.
_PACKET_SIZES = (188, 192, 204)
_SYNC = 0x47

# https://www.rfc-editor.org/rfc/rfc9559: the elements below a segment and a cluster, and those two.
_SEGMENT, _CLUSTER = 0x18538067, 0x1F43B675
_ELEMENTS = frozenset(
    {_SEGMENT, _CLUSTER, 0x1A45DFA3, 0x114D9B74, 0x1549A966, 0x1654AE6B, 0x1C53BB6B, 0x1254C367}
    | {0x1043A770, 0x1941A469, 0xEC, 0xBF, 0xE7, 0xA3, 0xA0, 0xAB, 0xA7, 0xAF, 0x5854}
)


_ASF_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")


def find_container(path: str | Path) -> Container | None:
    """By content; None for any other file, playlists among them."""
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
    """Whether the file ends inside a part or, for Matroska and FLV, has bytes between parts that are none.

    Always False for the containers whose parts do not say how long they are.
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
    """Four packets in a row; the first may lack its beginning."""
    starts = ((start, size) for size in _PACKET_SIZES for start in range(size))
    return any(head[start : start + 3 * size + 1 : size] == bytes([_SYNC] * 4) for start, size in starts)


def _has_cut_box(file: BinaryIO) -> bool:
    """ISO/IEC 14496-12, 4.2: size, type; size 1 has the real one behind the type, 0 reaches to the end."""
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
    """Adobe's FLV 10.1, annex E: type, size in three bytes, 7 more; behind the content the whole size."""
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
    """ASF's file properties: their name, size and the file's name, 40 bytes in all, then the file's size."""
    head = file.read(1 << 16)
    at = head.find(_ASF_PROPERTIES)
    stated = int.from_bytes(head[at + 40 : at + 48], "little") if at >= 0 else 0
    return stated > os.fstat(file.fileno()).st_size


def _number_length(first: bytes) -> int:
    """Bytes of a number of variable length, from its first one: 1 + the zero bits in front. 0 for none."""
    return 9 - first[0].bit_length() if first and first[0] else 0
