# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Video streams are decoded picture by picture; what is lost or damaged costs pictures, never a wrong one."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest

pytest.importorskip("av", reason="PyAV is not installed")

from video_stream import ENCODERS, Encoded, encode, number_of, rectangle_errors

from seg_node.video import decoder as video_decoder
from seg_node.video.decoder import VideoDecoder
from seg_node.video.packet import Undecoded, VideoPacket, codec_of
from seg_node.video.picture import Picture

PERIOD_NS = 33_000_000
CODECS = tuple(ENCODERS)
IDR_SLICE = b"\0\0\1\x65"  # its start code and header
B_FRAMES = {"preset": "fast", "x264-params": "b-adapt=0"}


def packet(codec: str, encoded: Encoded, index: int, counted: bool = False) -> VideoPacket:
    count = index if counted else None
    return VideoPacket(codec_of(codec), encoded.data, index * PERIOD_NS, count, encoded.number)


def decode(
    codec: str, stream: Sequence[Encoded], lost: Sequence[int] = (), counted: bool = False
) -> tuple[list[tuple[int, int]], Counter[str]]:
    """(number of the packet's picture, number that the picture shows) as decoded; the reasons of the others.

    lost: indices of packets that do not arrive.
    """
    decoder, shown, reasons = VideoDecoder(), [], Counter[str]()
    for index, encoded in enumerate(stream):
        if index in lost:
            continue
        for outcome in decoder.decode(packet(codec, encoded, index, counted)):
            if isinstance(outcome, Picture):
                shown.append((outcome.token, number_of(outcome.to_bgr())))
            else:
                reasons[outcome.reason] += 1
    assert len(shown) + reasons.total() + decoder.pending == len(stream) - len(lost)
    return shown, reasons


def same(numbers: Sequence[int]) -> list[tuple[int, int]]:
    return [(number, number) for number in numbers]


@pytest.mark.parametrize("codec", CODECS)
def test_every_picture_is_decoded_at_once_and_in_order(codec: str) -> None:
    decoder = VideoDecoder()
    for index, encoded in enumerate(encode(codec, 25)):
        (picture,) = decoder.decode(packet(codec, encoded, index))
        assert isinstance(picture, Picture)
        bgr = picture.to_bgr()
        assert (bgr.dtype, bgr.shape) == (np.uint8, (288, 384, 3))
        assert number_of(bgr) == picture.token == index
        assert max(rectangle_errors(bgr)) < 10
    assert decoder.pending == 0


@pytest.mark.parametrize("codec", CODECS)
def test_packets_before_the_first_key_frame_are_counted(codec: str) -> None:
    shown, reasons = decode(codec, encode(codec, 25)[7:])
    assert shown == same(range(10, 25))
    assert reasons == {"awaiting_key_frame": 3}


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("counted", [True, False])
@pytest.mark.parametrize("lost", [[14], [13, 14], [19, 20]])
def test_after_a_lost_packet_the_next_key_frame_is_awaited(
    codec: str, counted: bool, lost: list[int]
) -> None:
    shown, reasons = decode(codec, encode(codec, 40), lost, counted)
    resumed = 30 if 20 in lost else 20
    assert shown == same([*range(lost[0]), *range(resumed, 40)])
    assert sum(reasons.values()) == resumed - lost[-1] - 1
    assert reasons["lost_packet"] + reasons["corrupt_image"] == 1


def test_a_lost_picture_that_no_other_refers_to_costs_only_itself() -> None:
    stream = encode("h264", 30, b_frames=1, options={"preset": "fast", "x264-params": "b-pyramid=none"})
    lost = next(i for i, each in enumerate(stream) if i > 5 and each.number < stream[i - 1].number)
    shown, reasons = decode("h264", stream, [lost])
    assert shown == same([number for number in range(30) if number != stream[lost].number][: len(shown)])
    assert not reasons and len(shown) >= 26


def test_pictures_keep_their_own_stamps_when_packets_come_in_another_order() -> None:
    stream = encode("h264", 30, b_frames=3, options=B_FRAMES)
    assert [each.number for each in stream] != list(range(30))
    shown, reasons = decode("h264", stream, counted=True)
    assert shown == same(range(len(shown))) and len(shown) >= 27
    assert not reasons


def test_a_stream_without_key_frames_begins_when_its_picture_is_complete() -> None:
    options = {"preset": "ultrafast", "tune": "zerolatency", "intra-refresh": "1"}
    shown, reasons = decode("h264", encode("h264", 50, options=options)[3:], [22])
    assert all(number == seen for number, seen in shown)
    # 3 … 9, and after the loss of 25 (which 26 reveals) 27 … 29; complete 9 pictures after 10 and 30
    assert [number for number, _ in shown] == [*range(19, 25), *range(39, 50)]
    assert (reasons["awaiting_key_frame"], reasons["lost_packet"]) == (10, 1)


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("index", [5, 10])
def test_a_packet_that_is_cut_off_is_dropped_with_those_that_need_it(codec: str, index: int) -> None:
    stream = encode(codec, 25)
    whole = stream[index].data
    stream[index] = Encoded(stream[index].number, False, whole[: len(whole) // 2])
    shown, reasons = decode(codec, stream)
    assert shown == same([*range(index), *range(index + 10 - index % 10, 25)])
    assert reasons["corrupt_image"] == 1


def test_size_and_codec_may_change_in_mid_stream() -> None:
    decoder = VideoDecoder()
    parts = [("h264", (288, 384)), ("h264", (240, 320)), ("hevc", (240, 320)), ("h264", (288, 384))]
    index = 0
    for codec, size in parts:
        for encoded in encode(codec, 4, size=size):
            (picture,) = decoder.decode(packet(codec, encoded, index, counted=True))
            assert isinstance(picture, Picture)
            assert picture.to_bgr().shape[:2] == size
            assert number_of(picture.to_bgr()) == encoded.number
            index += 1


def test_parameter_sets_may_come_in_a_message_of_their_own() -> None:
    stream = encode("h264", 5)
    at = stream[0].data.index(IDR_SLICE)
    apart = [Encoded(-1, False, stream[0].data[:at]), Encoded(0, True, stream[0].data[at:])]
    shown, reasons = decode("h264", [*apart, *stream[1:]])
    assert shown == same(range(5))
    assert reasons == {"no_picture": 1}


def test_a_codec_that_pyav_was_built_without_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(video_decoder._DECODERS, "av1", "no_such_decoder")
    decoder = VideoDecoder()
    (outcome,) = decoder.decode(VideoPacket("av1", b"\x12\x00", 0))
    assert isinstance(outcome, Undecoded) and outcome.reason == "unknown_encoding"
    assert "no_such_decoder for av1" in outcome.text
    (outcome,) = decoder.decode(packet("h264", encode("h264", 1)[0], 1))
    assert isinstance(outcome, Picture)


def test_a_picture_that_is_split_over_messages_is_refused() -> None:
    options = {"preset": "ultrafast", "tune": "zerolatency", "x264-params": "slices=2"}
    first, second = encode("h264", 2, options=options)
    at = second.data.rindex(b"\0\0\1")
    decoder = VideoDecoder()
    decoder.decode(packet("h264", first, 0))
    (outcome,) = decoder.decode(packet("h264", Encoded(1, False, second.data[at:]), 1))
    assert isinstance(outcome, Undecoded) and outcome.reason == "corrupt_image"
    assert "a whole one in each message" in outcome.text


def test_a_key_frame_without_parameter_sets_says_what_the_encoder_must_send() -> None:
    data = encode("h264", 1)[0].data
    bare = Encoded(0, True, data[data.index(IDR_SLICE) :])
    (outcome,) = VideoDecoder().decode(packet("h264", bare, 0))
    assert isinstance(outcome, Undecoded) and outcome.is_fault
    assert outcome.reason == "awaiting_key_frame" and "SPS and PPS" in outcome.text


def test_waiting_long_for_a_key_frame_is_a_fault() -> None:
    stream = encode("h264", 302, gop=500)[1:]
    decoder = VideoDecoder()
    outcomes = [decoder.decode(packet("h264", each, index))[0] for index, each in enumerate(stream)]
    faults = [outcome.is_fault for outcome in outcomes if isinstance(outcome, Undecoded)]
    assert faults == [False] * 300 + [True]
    assert "gop_size" in outcomes[-1].text


@pytest.mark.parametrize("codec", CODECS)
def test_damaged_packets_raise_nothing_and_log_nothing(codec: str, capfd: pytest.CaptureFixture[str]) -> None:
    stream = encode(codec, 12, gop=4)
    capfd.readouterr()  # of the encoder
    rng = np.random.default_rng(7)
    decoder, outcomes, sent = VideoDecoder(), 0, 0
    for index in range(600):
        data = bytearray(stream[index % len(stream)].data)
        for at in rng.integers(0, len(data), rng.integers(0, 6)):
            data[at] = rng.integers(256)
        match rng.integers(8):
            case 0:
                data = data[: rng.integers(len(data))]
            case 1:
                data = bytearray(rng.bytes(int(rng.integers(1, 400))))
            case 2:
                data += stream[int(rng.integers(len(stream)))].data
        sent += 1
        outcomes += len(decoder.decode(VideoPacket(codec_of(codec), bytes(data), index * PERIOD_NS)))
    assert outcomes + decoder.pending == sent
    assert capfd.readouterr() == ("", "")
    decoder.decode(VideoPacket(codec_of(codec), b"\xff", 0))  # the next key frame begins anew
    shown = [decoder.decode(packet(codec, each, 600 + index)) for index, each in enumerate(stream)]
    pictures = [each for outcomes in shown for each in outcomes if isinstance(each, Picture)]
    assert number_of(pictures[-1].to_bgr()) == 11


@pytest.mark.parametrize(
    "data", [b"", b"\0", bytes(100), b"\0\0\1", b"\0\0\1\x67", b"\0\0\1\x65" * 9000, b"\xff" * 1000]
)
@pytest.mark.parametrize("codec", CODECS)
def test_data_that_is_no_packet_is_refused(codec: str, data: bytes) -> None:
    (outcome,) = VideoDecoder().decode(VideoPacket(codec_of(codec), data, 0))
    assert isinstance(outcome, Undecoded)
    assert outcome.reason in ("truncated_data", "corrupt_image", "awaiting_key_frame", "no_picture")
