"""JPEG files from messages, decoded only once their headers are known to be harmless.

A few bytes can keep a decoder busy for minutes. Section numbers are those of ITU-T T.81.
"""

import re
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from seg_node.images.buffer import MAX_PIXELS, ImageError, check_size
from seg_node.images.opencv_file import decode_by_opencv

JPEG_START = b"\xff\xd8"
_END = b"\xff\xd9"
_SCAN = b"\xff\xda"
_START_OF_SCAN = 0xDA
# Start-of-frame markers carry the size; C4, C8 and CC lie among them and are tables. Table B.1
_FRAME_MARKERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
# A marker with a length. Escaped (00) and fill (FF) bytes, TEM, restarts and starts of image do not match.
_SEGMENT = re.compile(rb"\xff([\x02-\xcf\xd9-\xfe])", re.DOTALL)
_MOST_SEGMENTS = 4096  # before the picture; a colour profile takes up to 255, 64 KB each

# Each scan of a progressive file passes over the whole picture, even if it holds 100 bytes: measured 0.5 ns a
# pixel, 1 ns with arithmetic coding, so that this bounds them to about 1 s. Encoders write some 10 scans
# (libjpeg), seldom up to 20, which is still fine for 64 MP.
_MOST_SCANNED = 20 * MAX_PIXELS
_LEAST_SCANNED = 1 << 16  # pixels: what a scan's own tables cost
_UNIT = 32  # pixels: pictures are padded to whole units, of at most 4 blocks of 8


@dataclass(frozen=True)
class _Frame:
    height: int
    width: int
    components: int
    progressive: bool
    start: int  # byte of its marker


def decode_jpeg(data: bytes, max_pixels: int = MAX_PIXELS) -> NDArray[Any]:
    """The pixels of a whole JPEG file: uint8 (H, W) grey or (H, W, 3) BGR.

    One that is damaged in the middle may decode to a damaged picture.
    Raises ImageError: truncated_data (no end), corrupt_image, empty_image, too_large (pixels, or scans).
    """
    frame, in_first_scan = _read_header(data)
    check_size(frame.height, frame.width, max_pixels)
    # Picture bytes escape FF, so this pair is the end. OpenCV 4 paints what was cut off grey.
    if data.rfind(_END, frame.start) < 0:
        raise ImageError(
            "truncated_data",
            f"JPEG of {len(data)} bytes has no end marker: it was cut short; check the publisher",
        )
    # A sequential file whose first scan holds all components has no other: libjpeg ends with it.
    if frame.progressive or in_first_scan < frame.components:
        _check_scans(frame, data.count(_SCAN, frame.start))
    return decode_by_opencv(data, f"JPEG of {frame.width}x{frame.height}")


def _check_scans(frame: _Frame, scans: int) -> None:
    height, width = (-(-side // _UNIT) * _UNIT for side in (frame.height, frame.width))
    most = _MOST_SCANNED // max(height * width, _LEAST_SCANNED)
    if scans > most:
        raise ImageError(
            "too_large",
            f"JPEG of {frame.width}x{frame.height} has {scans} scans, more than {most}; "
            "set the publisher to baseline JPEG",
        )


def _read_header(data: bytes) -> tuple[_Frame, int]:
    """The frame, and how many of its components the first scan holds. B.2.2 and B.2.3"""
    frame, at = None, len(JPEG_START)
    for _ in range(_MOST_SEGMENTS):
        found = _SEGMENT.search(data, at)
        if found is None or found.end() + 3 > len(data):
            break
        marker, at = found[1][0], found.end()
        if marker == 0xD9:  # the end, before any picture
            break
        if marker == _START_OF_SCAN and frame is not None:
            return frame, data[at + 2]
        length = int.from_bytes(data[at : at + 2], "big")
        if marker in _FRAME_MARKERS:  # length 2, precision 1, height 2, width 2, number of components 1
            if frame is not None or at + 8 > len(data):
                break
            height, width = (int.from_bytes(data[i : i + 2], "big") for i in (at + 3, at + 5))
            frame = _Frame(height, width, data[at + 7], marker in _PROGRESSIVE, found.start())
        at += max(2, length)
    raise ImageError(
        "corrupt_image",
        f"JPEG of {len(data)} bytes has no {'scan' if frame else 'frame header'} that can be read; "
        "check the publisher",
    )
