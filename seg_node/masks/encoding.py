# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Encode masks as message bytes and decode them: "mono8", "bits" and "rle" as InstanceMask.msg defines them.

Subscribers decode with `decode_crop` (the object's rectangle) or `decode_mask` (the whole image):

    for message in array.instances:
        mask = decode_mask(message, array.height, array.width)  # bool (H, W)

The C++ twin is include/seg_node/decode.hpp. The run lengths are COCO's (pycocotools common/maskApi.c:
rleEncode, rleToString, rleFrString).
"""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from seg_node.images.buffer import MAX_PIXELS
from seg_node.types import MaskCrop, MaskEncoding, Roi
from seg_node.untrusted.printable import printable

# 7 characters of 5 bits hold any run length of an image below 2^34 pixels, with its sign.
_MAX_NUMBER_LENGTH = 7


class RoiMessage(Protocol):
    """The fields in use of a sensor_msgs/RegionOfInterest."""

    x_offset: int
    y_offset: int
    width: int
    height: int


class MaskMessage(Protocol):
    """The fields in use of a seg_node/InstanceMask.

    data: any buffer of bytes (array.array, bytes, uint8 array).
    """

    roi: RoiMessage
    encoding: str
    data: bytes


def encode_mask(crop: MaskCrop, encoding: MaskEncoding, image_size: tuple[int, int]) -> NDArray[np.uint8]:
    """Encode a crop as InstanceMask.data: uint8 (n,), contiguous.

    image_size: (height, width) of the image that contains the crop; only "rle" uses it.

    Raises ValueError for an unknown encoding.
    """
    if encoding == "mono8":
        return (crop.pixels.view(np.uint8) * np.uint8(255)).reshape(-1)
    if encoding == "bits":
        return np.packbits(crop.pixels, axis=1).reshape(-1)
    if encoding == "rle":
        return np.frombuffer(rle_counts(crop, image_size), np.uint8)
    raise _unknown_encoding(encoding)


def decode_crop(
    message: MaskMessage, height: int | None = None, width: int | None = None, max_pixels: int = MAX_PIXELS
) -> MaskCrop:
    """Decode the mask inside the message's RoI.

    height, width: size of the source image, from the InstanceMaskArray; optional for "mono8" and "bits". If
    given, the RoI must lie in the image.
    max_pixels: larger images and RoIs are refused, because a few bytes of rle can declare any size.

    Raises ValueError if the encoding is unknown, a size is too large, or the data do not match the RoI or
    the RoI the image.
    """
    roi = Roi(message.roi.x_offset, message.roi.y_offset, message.roi.width, message.roi.height)
    if height is not None and width is not None:
        _check_size("image", height, width, max_pixels)
        _check_roi(roi, height, width)
    _check_size("roi", roi.height, roi.width, max_pixels)
    data = np.frombuffer(message.data, np.uint8)
    if message.encoding == "mono8":
        _check_length(data, roi.height * roi.width, "mono8", roi)
        pixels = data.reshape(roi.height, roi.width) != 0
    elif message.encoding == "bits":
        row_bytes = -(-roi.width // 8)
        _check_length(data, roi.height * row_bytes, "bits", roi)
        packed = data.reshape(roi.height, row_bytes)
        pixels = np.unpackbits(packed, axis=1, count=roi.width).view(np.bool_)
    elif message.encoding == "rle":
        if height is None or width is None:
            raise ValueError("an rle mask runs over the whole image; give decode_crop its height and width")
        pixels = _rle_pixels(data, roi, height, width)
    else:
        raise _unknown_encoding(message.encoding)
    return MaskCrop(roi.x_offset, roi.y_offset, pixels)


def decode_mask(
    message: MaskMessage, height: int, width: int, max_pixels: int = MAX_PIXELS
) -> NDArray[np.bool_]:
    """Decode the mask on the whole image, bool (height, width).

    height, width: size of the source image, from the InstanceMaskArray. max_pixels: larger ones are refused.

    Raises ValueError as `decode_crop` does.
    """
    crop = decode_crop(message, height, width, max_pixels)
    mask = np.zeros((height, width), np.bool_)
    mask[crop.roi.slices] = crop.pixels
    return mask


def rle_counts(crop: MaskCrop, image_size: tuple[int, int]) -> bytes:
    """COCO's compressed `counts` of the full image, the same bytes as from pycocotools.mask.encode.

    An RLE object is {"size": [height, width], "counts": rle_counts(crop, (height, width))}.
    """
    height, width = image_size
    rows, columns = crop.pixels.shape
    # One False row above and below makes every run start and end inside its own column.
    padded = np.zeros((columns, rows + 2), np.bool_)
    padded[:, 1:-1] = crop.pixels.T
    column, row = np.divmod(np.flatnonzero(padded[:, 1:] != padded[:, :-1]), rows + 1)
    edges = (crop.x_offset + column) * height + crop.y_offset + row
    # A run continues from the bottom of one column to the top of the next.
    repeated = np.flatnonzero(edges[1:] == edges[:-1])
    edges = np.delete(edges, np.concatenate([repeated, repeated + 1]))
    if not len(edges) or edges[-1] != height * width:
        edges = np.append(edges, height * width)
    return _compress(np.diff(edges, prepend=0))


def rle_runs(counts: bytes) -> NDArray[np.int64]:
    """Decompress COCO's `counts` to run lengths down the columns, background first.

    Raises ValueError for any other text. The caller checks whether the runs fill an image.
    """
    return _decompress(np.frombuffer(counts, np.uint8))


def _compress(counts: NDArray[np.int64]) -> bytes:
    """Write run lengths as text, 5 bits per character; from the fourth, differences to the last but one."""
    rest = counts.copy()
    rest[3:] -= counts[1:-2]
    characters = np.zeros((len(rest), _MAX_NUMBER_LENGTH), np.uint8)
    written = np.zeros((len(rest), _MAX_NUMBER_LENGTH), np.bool_)
    unfinished = np.ones(len(rest), np.bool_)
    for position in range(_MAX_NUMBER_LENGTH):
        low = rest & 0x1F
        rest >>= 5
        more = rest != np.where(low & 0x10, -1, 0)
        characters[:, position] = 48 + low + 32 * more
        written[:, position] = unfinished
        unfinished &= more
        if not unfinished.any():
            break
    return characters[written].tobytes()


def _decompress(text: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Decompress run lengths; the inverse of `_compress`."""
    values = text - np.uint8(48)  # lower characters wrap around to above 0x3F
    ends = np.flatnonzero(values & 0x20 == 0) + 1
    lengths = _steps(ends)
    if (
        not len(ends)
        or ends[-1] != len(text)
        or values.max() > 0x3F
        or (longest := lengths.max()) > _MAX_NUMBER_LENGTH
    ):
        raise ValueError("rle data is not COCO's compressed `counts` text; was the message cut off?")
    starts = ends - lengths
    counts = (values[starts] & 0x1F).astype(np.int64)
    for position in range(1, longest):
        longer = np.flatnonzero(lengths > position)
        counts[longer] |= (values[starts[longer] + position] & 0x1F).astype(np.int64) << 5 * position
    counts -= np.where(values[ends - 1] & 0x10, np.int64(1) << 5 * lengths, 0)
    counts[1::2] = np.cumsum(counts[1::2])
    counts[2::2] = np.cumsum(counts[2::2])
    return counts


def _steps(places: NDArray[np.int64]) -> NDArray[np.int64]:
    """np.diff(places, prepend=0), five times as fast."""
    steps = places.copy()
    steps[1:] -= places[:-1]
    return steps


def _rle_pixels(data: NDArray[np.uint8], roi: Roi, height: int, width: int) -> NDArray[np.bool_]:
    """Expand runs over the whole image to the pixels inside the RoI, bool (roi.height, roi.width)."""
    counts = _decompress(data)
    size = height * width
    possible = counts.min() >= 0 and counts.max() <= size  # otherwise their sum might overflow
    if not possible or counts.sum() != size:
        raise ValueError(
            f"rle runs cover {counts.sum() if possible else 'impossible'} pixels, the image {width}x{height} "
            f"has {size}; give the size of the InstanceMaskArray that holds the mask"
        )
    inside = _steps(_pixels_before(np.cumsum(counts), roi, height))
    if inside[1::2].sum() != counts[1::2].sum():
        raise ValueError(
            f"rle has object pixels outside {_roi_text(roi)}; give the size of the InstanceMaskArray "
            "that holds the mask"
        )
    runs = np.zeros(len(counts), np.bool_)
    runs[1::2] = True
    return np.ascontiguousarray(np.repeat(runs, inside).reshape(roi.width, roi.height).T)


def _pixels_before(places: NDArray[np.int64], roi: Roi, height: int) -> NDArray[np.int64]:
    """The number of RoI pixels before each place, which counts down the columns of the whole image."""
    column, row = np.divmod(places, max(height, 1))
    column -= roi.x_offset
    row -= roi.y_offset
    begun = (column >= 0) & (column < roi.width)
    whole = np.clip(column, 0, roi.width) * roi.height
    return whole + np.where(begun, np.clip(row, 0, roi.height), 0)


def _check_size(what: str, height: int, width: int, max_pixels: int) -> None:
    if max(height, 1) * max(width, 1) > max_pixels:  # also refuses 0 rows of very many columns
        raise ValueError(
            f"{what} of {width}x{height} is over max_pixels ({max_pixels / 1e6:g} megapixels); "
            "raise it for a sender that you trust"
        )


def _check_roi(roi: Roi, height: int, width: int) -> None:
    if roi.x_offset + roi.width > width or roi.y_offset + roi.height > height:
        raise ValueError(
            f"{_roi_text(roi)} does not lie in the image {width}x{height}; "
            "give the height and width of the InstanceMaskArray that holds the mask"
        )


def _check_length(data: NDArray[np.uint8], expected: int, encoding: str, roi: Roi) -> None:
    if len(data) != expected:
        raise ValueError(
            f"{encoding} mask of {_roi_text(roi)} has {len(data)} bytes, not {expected}; "
            "was the message cut off?"
        )


def _roi_text(roi: Roi) -> str:
    return f"roi {roi.width}x{roi.height} at ({roi.x_offset}, {roi.y_offset})"


def _unknown_encoding(encoding: str) -> ValueError:
    return ValueError(f"mask encoding '{printable(encoding)}' is not known; use mono8, bits or rle")
