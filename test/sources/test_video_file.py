# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Damaged and truncated videos, and files that would open others."""

import os
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from seg_node.sources.source import open_source
from seg_node.sources.video_containers import find_container, is_cut
from seg_node.sources.video_file import describe_video, read_video

FRAMES = 40
CODECS = {
    "jpeg.avi": "MJPG",
    "xvid.avi": "XVID",
    "jpeg.mkv": "MJPG",
    "xvid.mkv": "XVID",
    "vp8.webm": "VP80",
    "mpeg4.mp4": "mp4v",
    "mpeg4.mov": "mp4v",
    "mpeg4.3gp": "mp4v",
    "mpeg2.ts": "MPG2",
    "mpeg2.m2ts": "MPG2",
    "mpeg2.vob": "MPG2",
    "flash.flv": "FLV1",
    "wmv.wmv": "WMV2",
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A video of 40 frames, 10 per second, in each container."""
    folder = tmp_path_factory.mktemp("videos")
    random = np.random.default_rng(0)
    pictures = [cv2.resize(random.integers(0, 256, (12, 16, 3), np.uint8), (160, 120)) for _ in range(FRAMES)]
    for name, codec in CODECS.items():
        writer = cv2.VideoWriter(str(folder / name), cv2.VideoWriter.fourcc(*codec), 10.0, (160, 120))
        assert writer.isOpened(), name
        for picture in pictures:
            writer.write(picture)
        writer.release()
    return {name: folder / name for name in CODECS}


def read(path: Path) -> tuple[list[str], list[tuple[str, str]]]:
    """Names of the frames, and the reported errors."""
    told: list[tuple[str, str]] = []
    frames = read_video(path, lambda name, error: told.append((name, str(error))))
    return [name for name, _ in frames], told


@pytest.mark.parametrize("name", CODECS)
def test_an_intact_video_is_recognised_by_content_and_read_without_errors(
    tmp_path: Path, whole: dict[str, Path], name: str
) -> None:
    nameless = tmp_path / "video"
    shutil.copy(whole[name], nameless)
    source = open_source([nameless])
    assert (source.kind, source.fps, source.count) == ("video", 10.0, FRAMES)
    names, told = read(nameless)
    assert names == [f"video_{index:06d}" for index in range(FRAMES)] and not told
    container = find_container(nameless)
    assert container is not None and not is_cut(nameless, container)


def with_hole(data: bytes, share: float, size: int) -> bytes:
    at = int(len(data) * share)
    return data[:at] + bytes(size) + data[at + size :]


@pytest.mark.parametrize("name", ["jpeg.avi", "jpeg.mkv", "xvid.mkv", "vp8.webm", "mpeg4.mp4"])
def test_reading_continues_after_a_hole_and_missing_frames_are_reported(
    tmp_path: Path, whole: dict[str, Path], name: str
) -> None:
    damaged = tmp_path / name
    damaged.write_bytes(with_hole(whole[name].read_bytes(), 0.3, 3000))
    names, told = read(damaged)
    assert FRAMES // 2 < len(names) < FRAMES and told
    assert names[-1] in (f"{damaged.stem}_{index:06d}" for index in (len(names) - 1, FRAMES - 1))
    with pytest.raises(ValueError, match=str(damaged)):
        list(read_video(damaged))


def test_a_damaged_frame_is_named_and_the_next_ones_keep_their_numbers(
    tmp_path: Path, whole: dict[str, Path]
) -> None:
    data = whole["jpeg.mkv"].read_bytes()
    (tmp_path / "a.mkv").write_bytes(with_hole(data, 0.5, 500))
    names, told = read(tmp_path / "a.mkv")
    missing = {f"a_{index:06d}" for index in range(FRAMES)} - set(names)
    assert len(missing) == 1 and told == [(*missing, f"frame {int(min(missing)[2:])} cannot be decoded")]


@pytest.mark.parametrize("name", ["jpeg.avi", "xvid.avi", "jpeg.mkv", "xvid.mkv", "vp8.webm"])
@pytest.mark.parametrize("share", [0.6, 0.97])
def test_the_missing_frames_of_a_truncated_video_are_counted(
    tmp_path: Path, whole: dict[str, Path], name: str, share: float
) -> None:
    data = whole[name].read_bytes()
    cut = tmp_path / name
    cut.write_bytes(data[: int(len(data) * share)])
    names, told = read(cut)
    assert share * FRAMES * 0.85 < len(names) < FRAMES
    assert told == [
        (cut.stem, f"{len(names)} of {FRAMES} frames can be read: the file is cut off or damaged")
    ]


@pytest.mark.parametrize("name", ["flash.flv", "wmv.wmv"])
def test_a_truncated_video_without_an_index_is_reported(
    tmp_path: Path, whole: dict[str, Path], name: str
) -> None:
    data = whole[name].read_bytes()
    cut = tmp_path / name
    cut.write_bytes(data[: int(len(data) * 0.6)])
    names, told = read(cut)
    ((stem, text),) = told
    assert 0 < len(names) < FRAMES and stem == cut.stem
    assert text.startswith(f"{len(names)} ") and text.endswith("the file is cut off or damaged")


def test_a_damaged_first_frame_costs_that_frame_only(tmp_path: Path, whole: dict[str, Path]) -> None:
    data = bytearray(whole["jpeg.avi"].read_bytes())
    first = data.index(b"00dc", data.index(b"movi")) + 8
    data[first : first + 2000] = bytes(2000)
    (tmp_path / "a.avi").write_bytes(data)
    assert open_source([tmp_path / "a.avi"]).count == FRAMES
    names, told = read(tmp_path / "a.avi")
    assert len(names) == FRAMES - 1 and len(told) == 1


# --- files that would open others -------------------------------------------------------------------

PLAYLISTS = {
    "concat.mp4": "ffconcat version 1.0\nfile 'other.avi'\n",
    "hls.mp4": "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nother.ts\n#EXT-X-ENDLIST\n",
    "list.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nother.ts\n#EXT-X-ENDLIST\n",
    "asx.wmv": '<asx version="3.0"><entry><ref href="other.avi"/></entry></asx>',
    "session.avi": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n",
    "dash.mkv": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"></MPD>',
    "seg%03d.ts": "x",
}


@pytest.mark.parametrize("name", PLAYLISTS)
def test_a_playlist_is_refused_under_any_name(tmp_path: Path, whole: dict[str, Path], name: str) -> None:
    shutil.copy(whole["jpeg.avi"], tmp_path / "other.avi")
    for copy in ("other.ts", "seg000.ts", "seg001.ts"):
        shutil.copy(whole["mpeg2.ts"], tmp_path / copy)
    (tmp_path / name).write_text(PLAYLISTS[name])
    for reader in (describe_video, lambda path: list(read_video(path))):
        with pytest.raises(ValueError, match=r"not a supported video \(MP4, .*; no playlists\)"):
            reader(tmp_path / name)


def test_ffmpeg_may_choose_no_other_container_than_those_known(
    tmp_path: Path, whole: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Content that is recognised as AVI here and as another container by FFmpeg."""
    shutil.copy(whole["jpeg.avi"], tmp_path / "other.avi")
    (tmp_path / "a.avi").write_text(PLAYLISTS["concat.mp4"])
    monkeypatch.setattr("seg_node.sources.video_file.find_container", lambda path: "avi")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="no frame can be decoded"):
        describe_video(tmp_path / "a.avi")


def test_the_environment_is_left_as_it_was(whole: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    name = "OPENCV_FFMPEG_CAPTURE_OPTIONS"
    for value in ("rtsp_transport;udp", None):
        if value is None:
            monkeypatch.delenv(name)
        else:
            monkeypatch.setenv(name, value)
        describe_video(whole["jpeg.avi"])
        assert os.environ.get(name) == value


# --- names and sizes --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", [b"\xe9t\xe9.avi", b"pat%03d.avi", b"a\nb.avi", "日本.avi".encode(), b"-x.avi"]
)
def test_a_video_of_any_name_is_read(tmp_path: Path, whole: dict[str, Path], name: bytes) -> None:
    path = tmp_path / os.fsdecode(name)
    shutil.copy(whole["jpeg.avi"], path)
    assert len(read(path)[0]) == FRAMES


def test_a_video_of_too_many_pixels_is_refused(
    whole: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("seg_node.sources.video_file.MAX_PIXELS", 160 * 120 - 1)
    with pytest.raises(ValueError, match=r"jpeg\.avi: 160x120 is over .*; scale it down"):
        describe_video(whole["jpeg.avi"])
