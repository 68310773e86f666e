# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Video file → frames (seg_node.sources.source); a playlist with a video's name must not lead elsewhere."""

import socket
import tempfile
from functools import lru_cache
from itertools import islice
from pathlib import Path
from random import Random

import cv2
import numpy as np

from fuzz import mutate
from fuzz.target import Input, Target
from seg_node.sources.source import open_source

_SUFFIXES = (".mp4", ".avi", ".mkv", ".mov", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv")
_MOST = 30  # frames of one video
_SECRET = "secret.ppm"
_PLAYLISTS = (
    "ffconcat version 1.0\nfile '{url}'\n",
    "ffconcat version 1.0\nfile '{secret}'\n",
    "ffconcat version 1.0\nfile 'subfile,,start,0,end,9,,:{secret}'\n",
    "#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:0\n#EXTINF:1,\n{url}\n#EXT-X-ENDLIST\n",
    "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{secret}\n#EXT-X-ENDLIST\n",
    "<asx version='3.0'><entry><ref href='{url}'/></entry></asx>",
    "v=0\no=- 0 0 IN IP4 127.0.0.1\nc=IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\na=rtpmap:96 H264/90000\n",
    "<?xml version='1.0'?><MPD><Period><AdaptationSet><Representation><BaseURL>{url}</BaseURL>"
    "</Representation></AdaptationSet></Period></MPD>",
    "[Ref1]\nRef1={url}\n",
    "hello",
    "",
)


@lru_cache
def _samples() -> tuple[bytes, ...]:
    made = []
    pixels = np.random.default_rng(3).integers(0, 256, (4, 32, 48, 3), np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        for suffix, code in (
            (".mp4", "mp4v"),
            (".avi", "MJPG"),
            (".avi", "XVID"),
            (".mkv", "mp4v"),
            (".mov", "mp4v"),
        ):
            path = Path(folder) / f"video{suffix}"
            writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*code), 10, (48, 32))
            for frame in pixels:
                writer.write(frame)
            writer.release()
            made.append(path.read_bytes())
    return tuple(made)


def make(random: Random) -> Input:
    suffix = random.choice(_SUFFIXES)
    if random.random() < 0.15:
        return {"suffix": suffix, "data": random.choice(_PLAYLISTS).encode()}
    data = random.choice(_samples())
    return {"suffix": suffix, "data": mutate.mutate_bytes(data, random) if random.random() < 0.95 else data}


def run(fields: Input, folder: Path) -> None:
    path, secret = folder / f"video{fields['suffix']}", folder / _SECRET
    secret.write_bytes(b"P6\n3 2\n255\n" + bytes(range(18)))
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        server.setblocking(False)
        url = f"http://127.0.0.1:{server.getsockname()[1]}/video.mp4"
        data = fields["data"].replace(b"{url}", url.encode()).replace(b"{secret}", str(secret).encode())
        path.write_bytes(data)
        try:
            source = open_source([path])
            frames = [frame.pixels for _, frame in islice(source.frames, _MOST)]
        finally:
            assert not _is_called(server), "a connection was opened"
    assert all(frame.shape != (2, 3, 3) for frame in frames), "another file was read"


def _is_called(server: socket.socket) -> bool:
    try:
        server.accept()[0].close()
    except BlockingIOError:
        return False
    return True


TARGET = Target("video", make, run, (ValueError, FileNotFoundError))
