# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Read image files as frames; their headers are checked before they are decoded."""

import mmap
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from seg_node.images.buffer import MAX_PIXELS
from seg_node.sources.find_images import image_names
from seg_node.sources.image_formats import PICTURE_FORMATS
from seg_node.sources.left_out import OnError
from seg_node.types import Frame
from seg_node.untrusted.memory_limit import limited_memory
from seg_node.untrusted.printable import reason

# Their decoders need over 15 bytes per pixel, the others 8.
EXPENSIVE_FORMATS, MAX_EXPENSIVE_PIXELS = ("AVIF", "JPEG2000", "WEBP"), 40_000_000
# Every scan visits all pixels: 1000 scans in 130 KB take half a minute. libtiff's limit is 100, too.
MAX_SCANS = 100
# Markers with a length: no escaped bytes, restarts and TEM. ITU-T T.81, table B.1.
_MARKER = re.compile(rb"\xff+([^\x00\x01\xd0-\xd7\xff])")
_START_OF_SCAN, _END_OF_IMAGE = b"\xda", b"\xd9"
# TIFF 6.0
_NEW_SUBFILE_TYPE, _BITS_PER_SAMPLE, _PHOTOMETRIC = 254, 258, 262
_TILE_WIDTH, _TILE_LENGTH, _SAMPLE_FORMAT = 322, 323, 339
_UNSIGNED, _SIGNED, _WHITE_IS_ZERO = 1, 2, 0


def read_image(path: str | Path) -> Frame:
    """Read an image file of one of PICTURE_FORMATS, up to MAX_PIXELS pixels, as 8-bit RGB.

    EXIF orientation is applied, as in image viewers, cv2.imread and Detectron2; 16-bit grey is scaled
    65535 → 255; an alpha channel is dropped.

    Raises ValueError with file and reason if it cannot be decoded completely.
    """
    try:
        if not Path(path).is_file():
            raise FileNotFoundError("there is no such file")
        with limited_memory(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about odd metadata, and sizes that are refused here
            return Frame(np.array(_load(path)), "rgb", frame_id="camera")
    except UnidentifiedImageError as error:
        formats = ", ".join(PICTURE_FORMATS)
        raise ValueError(
            f"{path}: cannot be read as an image (it is not one of {formats}); convert it to PNG or JPEG"
        ) from error
    except Image.DecompressionBombError as error:
        megapixels = MAX_PIXELS // 10**6
        raise ValueError(
            f"{path}: cannot be read as an image (over {megapixels} megapixels; scale it down)"
        ) from error
    except Exception as error:  # Pillow's decoders raise many types for damaged files
        raise ValueError(f"{path}: cannot be read as an image ({reason(error)})") from error


def read_images(paths: Iterable[str | Path], on_error: OnError | None = None) -> Iterator[tuple[str, Frame]]:
    """Read image files one by one; see `read_image` and, for on_error, `sources.source.open_source`."""
    files = [Path(path) for path in paths]
    for name, path in zip(image_names(files), files, strict=True):
        try:
            frame = read_image(path)
        except ValueError as error:
            if on_error is None:
                raise
            on_error(name, error)
            continue
        yield name, frame


def _load(path: str | Path) -> Image.Image:
    """Decode to RGB, with the EXIF orientation applied."""
    with Image.open(path, formats=PICTURE_FORMATS) as file:
        _check_size(file)
        if file.format in ("JPEG", "MPO"):
            _check_scans(path)
        if file.format == "TIFF":
            _check_tiff(file)
        if file.mode == "F":
            raise ValueError("pixels are floating point; convert the image to 8 bit")
        is_negative = file.format == "TIFF" and _tags(file).get(_PHOTOMETRIC) == _WHITE_IS_ZERO
        ImageOps.exif_transpose(file, in_place=True)
        if file.mode.startswith("I"):
            grey = _to_8_bit(np.asarray(file))
            return Image.fromarray(255 - grey if is_negative else grey).convert("RGB")
        return file if file.mode == "RGB" else file.convert("RGB")


def _check_size(file: Image.Image) -> None:
    width, height = file.size
    limit = MAX_EXPENSIVE_PIXELS if file.format in EXPENSIVE_FORMATS else MAX_PIXELS
    if width * height > limit:
        raise ValueError(f"{width}x{height} is over {limit // 10**6} megapixels; scale it down")


def _to_8_bit(values: NDArray[np.integer]) -> NDArray[np.uint8]:
    """Scale 65535 → 255 and round."""
    native = np.ascontiguousarray(values, values.dtype.newbyteorder("="))
    grey: NDArray[np.uint8] = cv2.convertScaleAbs(native, alpha=255 / 65535)
    return grey


def _check_scans(path: str | Path) -> None:
    """Refuse too many scans; count up to the end of the image, because phones append a video."""
    scans, at = 0, 2
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        while (marker := _MARKER.search(data, at)) and marker[1] != _END_OF_IMAGE:
            scans += marker[1] == _START_OF_SCAN
            if scans > MAX_SCANS:
                raise ValueError(f"it has over {MAX_SCANS} scans; save it again as a plain JPEG")
            at = marker.end() + int.from_bytes(data[marker.end() : marker.end() + 2], "big")


def _check_tiff(file: Image.Image) -> None:
    """Refuse TIFFs that Pillow reads wrongly without an error."""
    tags = _tags(file)
    if tags.get(_TILE_WIDTH, 0) * tags.get(_TILE_LENGTH, 0) > MAX_PIXELS:
        raise ValueError(f"its tiles are over {MAX_PIXELS // 10**6} megapixels; save it without tiles")
    if tags.get(_NEW_SUBFILE_TYPE, 0) & 1:
        raise ValueError("its first image is a thumbnail, as in a camera's raw files; convert it")
    bits = max(tags.get(_BITS_PER_SAMPLE, (1,)))
    kind = max(tags.get(_SAMPLE_FORMAT, (_UNSIGNED,)))
    signed = kind == _SIGNED
    if signed or (file.mode.startswith("I") and (bits != 16 or kind != _UNSIGNED)):
        raise ValueError(f"its values have {bits} bit{' and a sign' if signed else ''}; convert it to 8 bit")


def _tags(file: Image.Image) -> Mapping[int, Any]:
    """The tags of a TIFF file."""
    tags: Mapping[int, Any] = file.tag_v2  # type: ignore[attr-defined]
    return tags
