# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Packets of a video stream, what becomes of them, and the limits that their headers are held to."""

from dataclasses import dataclass
from typing import Any, Literal

from seg_node.images.buffer import ImageError, check_size, stamp_to_ns
from seg_node.untrusted.printable import printable
from seg_node.video.h264 import H264Headers
from seg_node.video.headers import HeaderReader, PacketHeaders, PictureSize
from seg_node.video.hevc import HevcHeaders
from seg_node.video.vp9_av1 import Av1Headers, Vp9Headers

Codec = Literal["h264", "hevc", "vp9", "av1"]

# Largest picture of level 6.2, the highest of H.264 and H.265: 8192x4352.
MAX_VIDEO_PIXELS = 8192 * 4352
# A decoder keeps the reference pictures, the one in work and one for the caller, with half a byte a pixel of
# its own. 8K of 6 references, all that level 6.2 allows, takes 570 MB.
_MAX_STREAM_BYTES = 800_000_000
_OWN_BYTES_PER_PIXEL = 0.5
# A slice of a few bytes can cover a whole picture, which takes 0.5 to 1 ns a pixel (measured): this bounds a
# packet to about 1.5 s. Encoders write up to 160 slices a picture, as RTP packets need them: 1.3e9 for 4K.
_MAX_SLICE_PIXELS = 1_400_000_000
_MIN_SLICE_PIXELS = 1 << 16  # the cost of a slice's own tables
_FIELDS = 2  # of an interlaced picture, in one packet

_CODECS: dict[str, Codec] = {
    "h264": "h264",
    "avc": "h264",
    "hevc": "hevc",
    "h265": "hevc",
    "vp9": "vp9",
    "av1": "av1",
    "x264": "h264",
    "openh264": "h264",
    "x265": "hevc",
    "vpx-vp9": "vp9",
    "svtav1": "av1",
    "aom-av1": "av1",
}
_READERS: dict[Codec, type[Any]] = {
    "h264": H264Headers,
    "hevc": HevcHeaders,
    "vp9": Vp9Headers,
    "av1": Av1Headers,
}


@dataclass(frozen=True)
class VideoPacket:
    """The data of one picture, as a message holds it.

    codec: as `codec_of` reads it. count: a number that the sender increases by one for each packet; None
    without one. stamp_ns: of the picture. token: handed back with the picture.
    """

    codec: Codec
    data: bytes
    stamp_ns: int
    count: int | None = None
    token: Any = None


@dataclass(frozen=True)
class Undecoded:
    """A packet that gives no picture, and why. is_fault: for a cause the user should fix."""

    token: Any
    reason: str
    text: str
    is_fault: bool = True


def codec_of(encoding: str) -> Codec:
    """Read FFMPEGPacket's encoding or CompressedVideo's format.

    The first of its tokens is the codec ("h264;yuv420p;bgr8;rgb8"), or before ffmpeg_image_transport 2.0 the
    encoder ("libx264", "hevc_nvenc").
    Raises ImageError unknown_encoding.
    """
    name = encoding.split(";")[0].strip().lower()
    stem = name.split("_")[0].removeprefix("lib")
    codec = _CODECS.get(stem)
    if codec is None:
        raise ImageError(
            "unknown_encoding",
            f"video encoding '{printable(encoding)}' is not supported; set the encoder to h264 "
            "(supported: h264, hevc, vp9, av1)",
        )
    return codec


def packet_of(message: Any, token: Any) -> VideoPacket:
    """Read an FFMPEGPacket or a CompressedVideo, of rclpy or rosbags.

    Raises ImageError unknown_encoding.
    """
    if hasattr(message, "pts"):
        codec, stamp, count = codec_of(message.encoding), message.header.stamp, int(message.pts)
    else:
        codec, stamp, count = codec_of(message.format), message.timestamp, None
    return VideoPacket(codec, bytes(message.data), stamp_to_ns(stamp), count, token)


def header_reader(codec: Codec) -> HeaderReader:
    reader: HeaderReader = _READERS[codec]()
    return reader


def check_picture_size(size: PictureSize) -> None:
    """Refuse sizes that would take the decoder too much memory.

    Raises ImageError empty_image or too_large.
    """
    check_size(size.height, size.width)
    needed = size.coded_pixels * (size.pixel_bytes + _OWN_BYTES_PER_PIXEL) * (size.references + 2)
    if size.coded_pixels > MAX_VIDEO_PIXELS or needed > _MAX_STREAM_BYTES:
        raise ImageError(
            "too_large",
            f"video is {size.width}x{size.height} with {size.references} reference pictures, over "
            f"{MAX_VIDEO_PIXELS / 1e6:.1f} megapixels or {_MAX_STREAM_BYTES / 1e6:.0f} MB in the decoder; "
            "set a smaller resolution in the encoder",
        )


def check_work(headers: PacketHeaders, coded_pixels: int) -> None:
    """Refuse a packet that would take the decoder too much time. coded_pixels: of the stream's pictures.

    Raises ImageError corrupt_image (several pictures) or too_large (slices).
    """
    if headers.pictures > _FIELDS:
        raise ImageError(
            "corrupt_image",
            f"packet holds {headers.pictures} pictures; the publisher must send one in each message",
        )
    if headers.slices * max(coded_pixels, _MIN_SLICE_PIXELS) > _MAX_SLICE_PIXELS:
        raise ImageError(
            "too_large",
            f"packet has {headers.slices} slices of up to {coded_pixels / 1e6:.1f} megapixels; "
            "set the encoder to fewer slices per picture",
        )
