# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""What does a picture of a camera's video cost beside a JPEG? CPU time of one thread, without ROS.

    scripts/run python benchmarks/video.py [--size 1280x720] [--pictures 90]

prints a table. Pictures are 1/f noise that pans, with a sensor's noise on top, encoded at the default bit
rate of ffmpeg_image_transport (8 Mbit/s at 30 Hz, a key frame every 10). Times are of the thread's own CPU,
so that a busy machine changes little; decoding includes reading the headers.
"""

import argparse
import time
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from seg_node.images.decode import decode_compressed
from seg_node.video.decoder import VideoDecoder
from seg_node.video.packet import VideoPacket, codec_of
from seg_node.video.picture import Picture

BIT_RATE, GOP, RATE_HZ = 8_242_880, 10, 30
QUALITY = 95  # compressed_image_transport's default
ENCODERS: dict[str, tuple[str, dict[str, str]]] = {
    "h264": ("libx264", {"preset": "veryfast", "tune": "zerolatency"}),
    "hevc": ("libx265", {"preset": "ultrafast", "tune": "zerolatency", "x265-params": "log-level=none"}),
    "vp9": ("libvpx-vp9", {"deadline": "realtime", "cpu-used": "8", "lag-in-frames": "0"}),
}


def pictures(height: int, width: int, count: int) -> Iterator[NDArray[np.uint8]]:
    rng = np.random.default_rng(0)
    rows, columns = height + count, width + 2 * count
    frequency = np.hypot(np.fft.fftfreq(rows)[:, None], np.fft.fftfreq(columns)[None])
    frequency[0, 0] = 1
    noise = rng.standard_normal((3, rows, columns))
    scene = np.moveaxis(np.fft.ifft2(np.fft.fft2(noise) / frequency).real, 0, 2)
    scene = (scene - scene.min()) / np.ptp(scene) * 255
    for index in range(count):
        view = scene[index : index + height, 2 * index : 2 * index + width]
        yield np.clip(view + rng.normal(0, 2, view.shape), 0, 255).astype(np.uint8)


def encode(codec: str, images: Iterator[NDArray[np.uint8]], height: int, width: int) -> list[bytes]:
    name, options = ENCODERS[codec]
    context: Any = av.CodecContext.create(name, "w")
    context.width, context.height, context.pix_fmt = width, height, "yuv420p"
    context.time_base, context.framerate, context.bit_rate = Fraction(1, RATE_HZ), RATE_HZ, BIT_RATE
    context.gop_size, context.max_b_frames, context.thread_count = GOP, 0, 1
    context.options = options
    packets = []
    for index, image in enumerate(images):
        frame = av.VideoFrame.from_ndarray(image, format="bgr24").reformat(format="yuv420p")
        frame.pts = index
        packets += context.encode(frame)
    return [bytes(packet) for packet in [*packets, *context.encode(None)]]


def decode_ms(codec: str, packets: list[bytes]) -> tuple[list[float], list[float]]:
    """Milliseconds of each packet's decoding, and of each picture's conversion to BGR."""
    decoder, decoding, converting = VideoDecoder(), [], []
    for index, data in enumerate(packets):
        began = time.thread_time()
        outcomes = decoder.decode(VideoPacket(codec_of(codec), data, index * 10**9 // RATE_HZ, index))
        decoding.append((time.thread_time() - began) * 1e3)
        for picture in outcomes:
            assert isinstance(picture, Picture)
            began = time.thread_time()
            picture.to_bgr()
            converting.append((time.thread_time() - began) * 1e3)
    return decoding, converting


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--size", default="1280x720")
    parser.add_argument("--pictures", type=int, default=90)
    options = parser.parse_args()
    width, height = map(int, options.size.split("x"))
    cv2.setNumThreads(1)
    print("| stream | KB a picture | decode ms, mean | p50 | p95 (key frames) | to BGR ms |")
    print("|---|---:|---:|---:|---:|---:|")
    for codec in ENCODERS:
        packets = encode(codec, pictures(height, width, options.pictures), height, width)
        decoding, converting = decode_ms(codec, packets)
        size = sum(map(len, packets)) / len(packets) / 1e3
        p50, p95 = np.percentile(decoding, [50, 95])
        print(
            f"| {codec} | {size:.0f} | {np.mean(decoding):.1f} | {p50:.1f} | {p95:.1f} | "
            f"{np.median(converting):.1f} |"
        )
    files = [
        cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes()
        for image in pictures(height, width, 10)
    ]
    times = []
    for file in files:
        began = time.thread_time()
        decode_compressed(file, "jpeg")
        times.append((time.thread_time() - began) * 1e3)
    size = sum(map(len, files)) / len(files) / 1e3
    p50, p95 = np.percentile(times, [50, 95])
    print(f"| JPEG {QUALITY} | {size:.0f} | {np.mean(times):.1f} | {p50:.1f} | {p95:.1f} |  |")


if __name__ == "__main__":
    main()
