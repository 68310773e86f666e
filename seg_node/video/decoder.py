# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Decode a camera's video stream packet by packet with PyAV.

No smeared picture is returned knowingly: decoding begins at a key frame, and after a loss at the next one.

A loss shows by the sender's count (FFMPEGPacket.pts), by frame_num in H.264, by the lists of references in
H.265, and for VP9 and AV1 without a count by a gap in the stamps. An error of the decoder is one, too.
Undetected are bits that flip inside a picture that still decodes, the loss of a whole multiple of 16 or more
H.264 pictures (frame_num begins again), and for VP9 and AV1 without a count what the stamps do not show.
"""

from contextlib import suppress
from typing import Any

from seg_node.images.buffer import ImageError
from seg_node.untrusted.printable import reason
from seg_node.video.continuity import Continuity
from seg_node.video.headers import HeaderReader, PacketHeaders, PictureSize
from seg_node.video.packet import (
    MAX_VIDEO_PIXELS,
    Codec,
    Undecoded,
    VideoPacket,
    check_picture_size,
    check_work,
    header_reader,
)
from seg_node.video.picture import Picture

try:
    import av
    from av.codec.context import Flags
except ImportError:
    av = None

MISSING = "decoding video needs PyAV: pip install 'av>=17'"

_DECODERS: dict[Codec, str] = {"h264": "h264", "hevc": "hevc", "vp9": "vp9", "av1": "libdav1d"}
_BLOCK = 128  # pixels a side of AV1's largest blocks: a library may count the padding to whole ones
_MOST_PENDING = 32  # packets; H.264 and H.265 reorder over at most 16 pictures
_USUAL_WAIT = 300  # packets without a key frame that are no fault yet: 10 s at 30 Hz

Outcomes = list[Picture | Undecoded]


def installed() -> bool:
    """Return whether PyAV is installed, without which there is no VideoDecoder."""
    return av is not None


class VideoDecoder:
    """Decodes one stream: one picture, or a reason, for every packet, at once or with a later packet.

    Not thread-safe.
    """

    def __init__(self) -> None:
        """Raises RuntimeError when PyAV is not installed."""
        if av is None:
            raise RuntimeError(MISSING)
        self._codec: Codec | None = None
        self._context: Any = None
        self._headers: HeaderReader
        self._continuity = Continuity()
        self._sizes: tuple[PictureSize, ...] = ()
        self._coded_pixels = 0  # of the largest picture that a header has stated
        self._pending: dict[int, Any] = {}  # serial number → token
        self._serial = 0
        self._waited: int | None = 0  # packets since a key frame is awaited; None: it has come

    @property
    def pending(self) -> int:
        """The number of packets whose picture may still come with a later one."""
        return len(self._pending)

    def decode(self, packet: VideoPacket) -> Outcomes:
        """Decode the stream's next packet; return the outcomes that are now known."""
        outcomes: Outcomes = []
        try:
            if packet.codec != self._codec:
                outcomes += self._await_key_frame("another codec follows")
                self._open(packet.codec)
            headers = self._read(packet)
            gap = self._continuity.lost(packet)
            lost = headers.lost or gap
            if lost and self._waited is None and not headers.is_key:
                outcomes += self._await_key_frame("a packet before it was lost")
                text = f"a packet was lost ({lost}): pictures are dropped until the next key frame"
                return [*outcomes, Undecoded(packet.token, "lost_packet", text)]
            if self._waited is not None and headers.slices and not headers.is_key:
                return [*outcomes, self._not_yet(packet)]
            return outcomes + self._decode(packet, headers)
        except ImageError as error:
            outcomes += self._await_key_frame("a packet after it is damaged")
            return [*outcomes, Undecoded(packet.token, error.reason, str(error))]

    def flush(self) -> Outcomes:
        """End the stream: return the outcomes of all packets that are pending."""
        outcomes = self._drain()
        self._codec = None
        return outcomes + self._await_key_frame("the stream ends before its picture is complete")

    def note_loss(self) -> None:
        """Note that the transport lost messages; it counts for a stream that does not show losses itself."""
        self._continuity.note_loss()

    def _open(self, codec: Codec) -> None:
        self._context, self._codec, self._headers = _create_context(codec, ()), codec, header_reader(codec)
        self._continuity, self._sizes, self._coded_pixels, self._waited = Continuity(), (), 0, 0

    def _read(self, packet: VideoPacket) -> PacketHeaders:
        """Read and check the headers. Raises ImageError."""
        if not packet.data:
            raise ImageError("truncated_data", "video packet has no data; check the publisher")
        try:
            headers = self._headers.read(packet.data)
        except ValueError as error:
            text = f"{packet.codec} packet: {error}; check the publisher"
            raise ImageError("corrupt_image", text) from None
        for size in headers.sizes:
            check_picture_size(size)
        # Any of the parameter sets that the decoder has may be that of the next picture.
        self._coded_pixels = max(self._coded_pixels, _largest(headers))
        check_work(headers, self._coded_pixels)
        return headers

    def _decode(self, packet: VideoPacket, headers: PacketHeaders) -> Outcomes:
        if not headers.slices:
            return self._take_parameter_sets(packet)
        if not headers.pictures:
            text = f"{packet.codec} packet begins in the middle of a picture; "
            raise ImageError("corrupt_image", text + "the publisher must send a whole one in each message")
        if not self._coded_pixels:
            raise ImageError(
                "awaiting_key_frame",
                f"{packet.codec} key frame without SPS and PPS; let the encoder send them with each one",
            )
        outcomes: Outcomes = []
        if headers.is_key and (self._waited is not None or headers.sizes not in ((), self._sizes)):
            outcomes += self._drain()
            self._begin(packet.codec, headers)
        outcomes += self._pictures(self._feed(packet))
        late = [serial for serial in self._pending if serial <= self._serial - _MOST_PENDING]
        return outcomes + self._without_picture(late, "the decoder skipped it")

    def _take_parameter_sets(self, packet: VideoPacket) -> Outcomes:
        with suppress(ImageError):  # H.264's decoder misses the picture
            self._feed(packet)
        self._pending.pop(self._serial, None)
        return [Undecoded(packet.token, "no_picture", "packet holds no picture", is_fault=False)]

    def _begin(self, codec: Codec, headers: PacketHeaders) -> None:
        """Begin at a key frame."""
        if headers.sizes:  # anew: a damaged header may have left the decoder holding pictures back for good
            self._sizes, self._coded_pixels = headers.sizes, _largest(headers)
            self._context = _create_context(codec, headers.sizes)
        else:  # the decoder has the parameter sets
            self._context.flush_buffers()
        self._waited = None

    def _feed(self, packet: VideoPacket) -> list[Any]:
        """Return the library's frames. Raises ImageError corrupt_image."""
        self._serial += 1
        self._pending[self._serial] = packet.token
        data = av.Packet(packet.data)
        data.pts = data.dts = self._serial  # messages may repeat theirs
        try:
            frames = self._context.decode(data)
        except Exception as error:  # of the library: many types, by the error's number
            detail = f"{packet.codec} packet of {len(packet.data)} bytes cannot be decoded ({reason(error)})"
            del self._pending[self._serial]
            raise ImageError("corrupt_image", f"{detail}; check the publisher and the network") from None
        if any(frame.is_corrupt for frame in frames):
            self._pending.pop(self._serial, None)
            raise ImageError("corrupt_image", f"{packet.codec} packet is damaged; check the network")
        return list(frames)

    def _drain(self) -> Outcomes:
        """Return the pictures that the decoder holds; it takes no packet after this."""
        if not self._pending:
            return []
        with suppress(Exception):  # damaged: its packets end without a picture
            return self._pictures(self._context.decode(None))
        return []

    def _pictures(self, frames: list[Any]) -> Outcomes:
        return [
            Picture(self._pending.pop(frame.pts), frame) for frame in frames if frame.pts in self._pending
        ]

    def _without_picture(self, serials: list[int], text: str) -> Outcomes:
        tokens = [self._pending.pop(serial) for serial in serials if serial in self._pending]
        return [Undecoded(token, "no_picture", text, is_fault=False) for token in tokens]

    def _await_key_frame(self, why: str) -> Outcomes:
        """Give up the packets that are pending, and wait for a key frame."""
        self._waited = self._waited or 0
        return self._without_picture(list(self._pending), why)

    def _not_yet(self, packet: VideoPacket) -> Undecoded:
        assert self._waited is not None
        self._waited += 1
        is_fault = self._waited > _USUAL_WAIT
        cure = "; set the encoder's distance of key frames (gop_size) to a second or less" if is_fault else ""
        text = f"no key frame in {self._waited} packets{cure}"
        return Undecoded(packet.token, "awaiting_key_frame", text, is_fault)


def _create_context(codec: Codec, sizes: tuple[PictureSize, ...]) -> Any:
    """Raises ImageError unknown_encoding. sizes: as headers state them; the library refuses larger ones."""
    limits = [size.coded_pixels + _BLOCK * (size.height + size.width + _BLOCK) for size in sizes]
    try:
        context = av.CodecContext.create(_DECODERS[codec], "r")
    except Exception as error:  # FFmpeg can be built without
        text = f"this PyAV has no decoder {_DECODERS[codec]} for {codec}; set the encoder to h264"
        raise ImageError("unknown_encoding", text) from error
    context.thread_count = 1  # more would hold pictures back
    context.flags |= Flags.low_delay
    context.options = {"max_pixels": str(max(limits, default=MAX_VIDEO_PIXELS)), "err_detect": "explode"}
    return context


def _largest(headers: PacketHeaders) -> int:
    return max((size.coded_pixels for size in headers.sizes), default=0)
