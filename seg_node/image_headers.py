"""What a JPEG or PNG says about itself, read before decoding: a small file can unpack to gigabytes."""

from typing import Literal

from seg_node.image_buffer import ImageError

Codec = Literal["jpeg", "png"]

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_JPEG_START = b"\xff\xd8"
_JPEG_END = b"\xff\xd9"
# Start-of-frame markers carry the size; C4, C8 and CC lie among them and are tables. ITU-T T.81, table B.1.
_JPEG_FRAME_MARKERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_LONE_MARKERS = frozenset(range(0xD0, 0xD9)) | {0x01}  # without a length: restarts, start of image, TEM


def read_header(data: bytes) -> tuple[Codec, int, int]:
    """(codec, height, width) of a whole JPEG or PNG file.

    Raises ImageError: unknown_encoding (another file type), truncated_data (no end), corrupt_image.
    """
    if data.startswith(_PNG_SIGNATURE):
        return "png", *_png_size(data)
    if data.startswith(_JPEG_START):
        return "jpeg", *_jpeg_size(data)
    raise ImageError(
        "unknown_encoding",
        f"compressed data starts with {data[:8].hex(' ')}, which is neither JPEG nor PNG; "
        "set the publisher's compressed format to jpeg or png",
    )


def _png_size(data: bytes) -> tuple[int, int]:
    """The IHDR chunk comes first, width before height. W3C PNG, section 11.2.1."""
    if data[12:16] != b"IHDR" or len(data) < 24:
        raise ImageError("corrupt_image", f"PNG of {len(data)} bytes has no IHDR chunk; check the publisher")
    if b"IEND" not in data:
        raise _truncated("PNG", len(data), "IEND chunk")
    return int.from_bytes(data[20:24], "big"), int.from_bytes(data[16:20], "big")


def _jpeg_size(data: bytes) -> tuple[int, int]:
    """Walks the segments to the start of frame: length 2, precision 1, height 2, width 2. T.81, B.2.2."""
    at = len(_JPEG_START)
    while 0 <= (at := data.find(b"\xff", at)) < len(data) - 8:
        marker = data[at + 1]
        if marker in _JPEG_FRAME_MARKERS:
            # Picture bytes escape FF, so this pair is the end. OpenCV 4 paints what was cut off grey.
            if data.rfind(_JPEG_END, at) < 0:
                raise _truncated("JPEG", len(data), "end marker")
            return int.from_bytes(data[at + 5 : at + 7], "big"), int.from_bytes(data[at + 7 : at + 9], "big")
        if marker in (0x00, 0xFF):  # an escaped byte, a fill byte
            at += 1
        elif marker in _JPEG_LONE_MARKERS:
            at += 2
        else:
            at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    raise ImageError("corrupt_image", f"JPEG of {len(data)} bytes has no frame header; check the publisher")


def _truncated(file_type: str, size: int, missing: str) -> ImageError:
    return ImageError(
        "truncated_data",
        f"{file_type} of {size} bytes has no {missing}: it was cut short; check the publisher",
    )
