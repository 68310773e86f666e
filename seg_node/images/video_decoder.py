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
from seg_node.images.video_continuity import Continuity
from seg_node.images.video_headers import HeaderReader, PacketHeaders, PictureSize
from seg_node.images.video_packet import (
    MAX_VIDEO_PIXELS,
    Codec,
    Undecoded,
    VideoPacket,
    check_headers,
    header_reader,
)
from seg_node.images.video_picture import Picture
from seg_node.untrusted.printable import reason

try:
    import av
    from av.codec.context import Flags
except ImportError:
    av = None

MISSING = "decoding video needs PyAV: pip install 'seg_node[video]' (or: pip install av)"

_DECODERS: dict[Codec, str] = {"h264": "h264", "hevc": "hevc", "vp9": "vp9", "av1": "libdav1d"}
# The library counts the padding to whole blocks, of up to 128 pixels a side.
_OPTIONS = {"max_pixels": str(MAX_VIDEO_PIXELS + 128 * (8192 + 4352)), "err_detect": "explode"}
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
        self._size: PictureSize | None = None
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
        if packet.codec != self._codec:
            outcomes += self._await_key_frame("another codec follows")
            self._open(packet.codec)
        try:
            headers = self._read(packet)
            lost = headers.lost or self._continuity.lost(packet)
            if lost and self._waited is None and not headers.is_key:
                outcomes += self._await_key_frame("a packet before it was lost")
                text = f"a packet was lost ({lost}): pictures are dropped until the next key frame"
                return [*outcomes, Undecoded(packet.token, "lost_packet", text)]
            if self._waited is not None and headers.pictures and not headers.is_key:
                return [*outcomes, self._not_yet(packet)]
            return outcomes + self._decode(packet, headers)
        except ImageError as error:
            outcomes += self._await_key_frame("a packet after it is damaged")
            return [*outcomes, Undecoded(packet.token, error.reason, str(error))]

    def flush(self) -> Outcomes:
        """End the stream: return the outcomes of all packets that are pending."""
        frames: list[Any] = []
        if self._pending:
            with suppress(Exception):  # damaged: its packets come out without a picture
                frames = self._context.decode(None)
        outcomes: Outcomes = [self._picture(frame) for frame in frames if frame.pts in self._pending]
        self._codec = None
        return outcomes + self._await_key_frame("the stream ends before its picture is complete")

    def note_loss(self) -> None:
        """Note that the transport lost messages; it counts for a stream that does not show losses itself."""
        self._continuity.note_loss()

    def _open(self, codec: Codec) -> None:
        self._context, self._codec, self._headers = _create_context(codec), codec, header_reader(codec)
        self._continuity, self._size, self._waited = Continuity(), None, 0

    def _read(self, packet: VideoPacket) -> PacketHeaders:
        """Read and check the headers. Raises ImageError."""
        if not packet.data:
            raise ImageError("truncated_data", "video packet has no data; check the publisher")
        try:
            headers = self._headers.read(packet.data)
        except ValueError as error:
            raise ImageError(
                "corrupt_image", f"{packet.codec} packet: {error}; check the publisher"
            ) from None
        self._size = headers.size or self._size
        check_headers(headers, self._size)
        return headers

    def _decode(self, packet: VideoPacket, headers: PacketHeaders) -> Outcomes:
        if not headers.pictures:
            return self._take_parameter_sets(packet)
        if self._size is None:
            raise ImageError(
                "awaiting_key_frame",
                f"{packet.codec} key frame without SPS and PPS; let the encoder send them with each one",
            )
        if self._waited is not None:
            self._begin(packet.codec, headers)
        frames = self._feed(packet)
        outcomes: Outcomes = [self._picture(frame) for frame in frames if frame.pts in self._pending]
        late = [serial for serial in self._pending if serial <= self._serial - _MOST_PENDING]
        return outcomes + self._without_picture(late, "the decoder skipped it")

    def _take_parameter_sets(self, packet: VideoPacket) -> Outcomes:
        with suppress(ImageError):  # H.264's decoder misses the picture
            self._feed(packet)
        self._pending.pop(self._serial, None)
        return [Undecoded(packet.token, "no_picture", "packet holds no picture", is_fault=False)]

    def _begin(self, codec: Codec, headers: PacketHeaders) -> None:
        """Begin at a key frame."""
        if headers.size is None:  # the decoder knows the parameter sets
            self._context.flush_buffers()
        else:  # a damaged header may have left it holding pictures back for good
            self._context = _create_context(codec)
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

    def _picture(self, frame: Any) -> Picture:
        return Picture(self._pending.pop(frame.pts), frame)

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
        text = f"{self._waited} packets have come since a key frame is awaited; "
        text += "set the encoder's distance of key frames (gop_size) to a second or less"
        return Undecoded(packet.token, "awaiting_key_frame", text, self._waited > _USUAL_WAIT)


def _create_context(codec: Codec) -> Any:
    context = av.CodecContext.create(_DECODERS[codec], "r")
    context.thread_count = 1  # more would hold pictures back
    context.flags |= Flags.low_delay
    context.options = dict(_OPTIONS)
    return context
