# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Messages with packets of a video, for `written_bags.write_bag`."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from rosbags.typesys import get_types_from_msg
from video_stream import Encoded
from written_bags import STORE, header

from seg_node.sources.bags.topic_frames import VIDEO_TYPES

for name, definition in VIDEO_TYPES.items():
    STORE.register(get_types_from_msg(definition, name))
FFMPEGPacket, CompressedVideo = (STORE.types[name] for name in VIDEO_TYPES)


def ffmpeg(encoded: Encoded, index: int) -> Any:
    data = np.frombuffer(encoded.data, np.uint8)
    return FFMPEGPacket(header(encoded.number), 0, 0, "h264;yuv420p;bgr8;bgr8", index, 0, False, data)


def foxglove(encoded: Encoded, index: int) -> Any:
    stamp = header(encoded.number).stamp
    return CompressedVideo(stamp, "optical_frame", np.frombuffer(encoded.data, np.uint8), "h264")


def video(stream: Sequence[Encoded], make: Any = ffmpeg) -> list[Any]:
    return [make(each, index) for index, each in enumerate(stream)]
