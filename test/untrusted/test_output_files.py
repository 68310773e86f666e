# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Output files are complete and stay inside their folder."""

import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from seg_node.drawing.video import AnnotatedVideo
from seg_node.untrusted.output_files import new_file, shortened, write_file

resource = pytest.importorskip("resource", reason="a full disk is played by a limit of POSIX")


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limit files to 10 KB during a test."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    real_write = Path.write_bytes

    def write_bytes(path: Path, data: bytes) -> int:
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))
        try:
            return real_write(path, data)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)

    monkeypatch.setattr(Path, "write_bytes", write_bytes)


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_a_file_is_written_below_the_folder(tmp_path: Path) -> None:
    write_file(tmp_path, "annotated/left/a.png", b"new")
    write_file(tmp_path, "annotated/left/a.png", b"newer")
    assert files(tmp_path) == ["annotated/left/a.png"]
    assert (tmp_path / "annotated/left/a.png").read_bytes() == b"newer"


def test_a_full_disk_leaves_the_old_file_and_is_named(tmp_path: Path, full_disk: None) -> None:
    write_file(tmp_path, "a.json", b"old")
    with pytest.raises(RuntimeError, match=r"a\.json: cannot be written \(File too large\)"):
        write_file(tmp_path, "a.json", bytes(20_000))
    assert (tmp_path / "a.json").read_bytes() == b"old" and files(tmp_path) == ["a.json"]


def test_an_error_while_a_file_is_made_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), new_file(tmp_path, "a.json") as part:
        part.write_bytes(b"half")
        raise ZeroDivisionError
    assert files(tmp_path) == []


def test_a_link_is_replaced_and_its_target_kept(tmp_path: Path) -> None:
    mine = tmp_path / "mine.txt"
    mine.write_text("mine")
    (tmp_path / "out").mkdir()
    (tmp_path / "out/a.json").symlink_to(mine)
    os.link(mine, tmp_path / "out/b.json")
    for name in ("a.json", "b.json"):
        write_file(tmp_path / "out", name, b"result")
    assert mine.read_text() == "mine" and (tmp_path / "out/a.json").read_bytes() == b"result"


@pytest.mark.parametrize("name", ["link/a.png", "below/link/a.png", "../a.png", "below/../../a.png"])
def test_nothing_is_written_outside_the_folder(tmp_path: Path, name: str) -> None:
    out, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    for folder in (out / "below", elsewhere):
        folder.mkdir(parents=True)
    for link in (out / "link", out / "below/link"):
        link.symlink_to(elsewhere, target_is_directory=True)
    with pytest.raises(RuntimeError, match="leads out of the folder of results; remove that link, or give"):
        write_file(out, name, b"result")
    assert files(tmp_path) == []


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("a.png", True),
        (f"{'x' * 251}.png", True),
        (f"{'x' * 252}.png", False),
        (f"left/{'ü' * 200}.png", False),
        (os.fsdecode(b"\xe9" * 300 + b".jpg"), False),
        ("x" * 300, False),
        (f"x.{'y' * 300}", False),
    ],
)
def test_a_name_too_long_for_a_file_system_is_cut(tmp_path: Path, name: str, kept: bool) -> None:
    short = shortened(name)
    assert (short == name) == kept and Path(short).parent == Path(name).parent
    write_file(tmp_path, short, b"")
    assert files(tmp_path) == [short]


def test_cut_names_keep_their_ending_and_stay_different() -> None:
    short = {shortened(f"{'x' * 300}{last}.png") for last in range(9)}
    assert len(short) == 9 and all(name.endswith(".png") for name in short)


# --- videos -----------------------------------------------------------------------------------------


def count(path: Path) -> int:
    capture = cv2.VideoCapture(str(path))
    return sum(capture.read()[0] for _ in range(9))


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (48, 64), (47, 63), (9, 9000), (20000, 10)])
def test_pictures_of_any_size_become_a_video(tmp_path: Path, size: tuple[int, int]) -> None:
    video = AnnotatedVideo(tmp_path / "a.mp4", 10)
    for _ in range(3):
        video.write(np.full((*size, 3), 90, np.uint8))
    assert files(tmp_path) != ["a.mp4"], "it is there when it is closed"
    video.close()
    assert files(tmp_path) == ["a.mp4"] and count(tmp_path / "a.mp4") == 3


def test_a_video_is_written_into_a_folder_of_any_name(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"\xe9t\xe9%03d")
    folder.mkdir()
    video = AnnotatedVideo(folder / os.fsdecode(b"\xe9%d.mp4"), 10)
    video.write(np.full((48, 64, 3), 90, np.uint8))
    video.close()
    (written,) = folder.iterdir()
    assert count(written.rename(tmp_path / "a.mp4")) == 1


def test_a_video_that_the_disk_has_no_room_for_is_named_and_removed(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    video = AnnotatedVideo(tmp_path / "a.mp4", 10)
    video.write(random.integers(0, 256, (480, 640, 3), np.uint8))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        for _ in range(9):
            video.write(random.integers(0, 256, (480, 640, 3), np.uint8))
        with pytest.raises(RuntimeError, match=r"a\.mp4: cannot be written completely; is the disk full"):
            video.close()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert files(tmp_path) == []
