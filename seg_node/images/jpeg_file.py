# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""JPEG files from messages; headers are checked before decoding.

A few bytes can keep a decoder busy for minutes. Section numbers refer to ITU-T T.81.
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
# Start-of-frame markers hold the size; C4, C8 and CC in their range are tables. Table B.1
_FRAME_MARKERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
# Markers with a length: no escaped (00) and fill (FF) bytes, no TEM, restarts and starts of image.
_SEGMENT = re.compile(rb"\xff([\x02-\xcf\xd9-\xfe])", re.DOTALL)
_MAX_SEGMENTS = 4096  # before the image data; a colour profile takes up to 255 of 64 KB each

# Every scan of a progressive file visits all pixels, even if it has 100 bytes: 0.5 ns per pixel (measured),
# 1 ns with arithmetic coding. This limit bounds decoding to about 1 s. Encoders write about 10 scans
# (libjpeg), rarely 20, which is allowed up to 64 MP.
_MAX_SCANNED_PIXELS = 20 * MAX_PIXELS
_MIN_SCAN_PIXELS = 1 << 16  # the cost of a scan's own tables
_UNIT = 32  # pixels: images are padded to whole units of at most 4 blocks of 8


@dataclass(frozen=True)
class _Frame:
    height: int
    width: int
    components: int
    progressive: bool
    start: int  # byte offset of its marker


def decode_jpeg(data: bytes, max_pixels: int = MAX_PIXELS) -> NDArray[Any]:
    """Decode a whole JPEG file to uint8 (H, W) grey or (H, W, 3) BGR.

    A file damaged in the middle may decode to a damaged image.
    Raises ImageError: truncated_data (no end), corrupt_image, empty_image, too_large (pixels or scans).
    """
    frame, in_first_scan = _read_header(data)
    check_size(frame.height, frame.width, max_pixels)
    # Image data escapes FF, so this pair is the end. OpenCV 4 would fill missing rows with grey.
    if data.rfind(_END, frame.start) < 0:
        raise ImageError(
            "truncated_data",
            f"JPEG of {len(data)} bytes has no end marker: it is truncated; check the publisher",
        )
    # If the first scan of a sequential file has all components, libjpeg stops after it.
    if frame.progressive or in_first_scan < frame.components:
        _check_scans(frame, data.count(_SCAN, frame.start))
    return decode_by_opencv(data, f"JPEG of {frame.width}x{frame.height}")


def _check_scans(frame: _Frame, scans: int) -> None:
    height, width = (-(-side // _UNIT) * _UNIT for side in (frame.height, frame.width))
    limit = _MAX_SCANNED_PIXELS // max(height * width, _MIN_SCAN_PIXELS)
    if scans > limit:
        raise ImageError(
            "too_large",
            f"JPEG of {frame.width}x{frame.height} has {scans} scans, more than {limit}; "
            "set the publisher to baseline JPEG",
        )


def _read_header(data: bytes) -> tuple[_Frame, int]:
    """The frame header and the number of components in the first scan. B.2.2 and B.2.3"""
    frame, at = None, len(JPEG_START)
    for _ in range(_MAX_SEGMENTS):
        found = _SEGMENT.search(data, at)
        if found is None or found.end() + 3 > len(data):
            break
        marker, at = found[1][0], found.end()
        if marker == 0xD9:  # the end, before any image data
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
