# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""The demo: its arithmetic on made-up numbers, then the whole command with a small model."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("rclpy", reason="ROS 2 is not in this environment")

from seg_node.masks.encoding import rle_counts
from seg_node.ros.demo import processes
from seg_node.ros.demo.accuracy import Truth, accuracy, read_truth_of
from seg_node.ros.demo.pictures import Picture, contact_sheet, shown_frames, spread, write_video
from seg_node.ros.demo.processes import Program
from seg_node.ros.demo.recorder import STAGES, Counts, FrameRecord
from seg_node.ros.demo.report import SentImage, objects_seen, read_player_log, summarise, table
from seg_node.types import MaskCrop

COLOURS = [(40 * i % 256, 90 * i % 256, 255 - 20 * i) for i in range(12)]


def picture(path: Path, size: tuple[int, int], index: int) -> Picture:
    """A picture of one colour."""
    file = path / f"{index}.jpg"
    cv2.imwrite(str(file), np.full((*size, 3), COLOURS[index], np.uint8))
    return Picture(file, index * 10**8, f"picture {index}")


def record(stamp_ns: int, scores: dict[str, list[float]] | None = None, age_ms: float = 100.0) -> FrameRecord:
    instances = [{"class": name, "score": score} for name, many in (scores or {}).items() for score in many]
    stage_ms = {stage: float(index) for index, stage in enumerate(STAGES)}
    return FrameRecord(stamp_ns, instances=instances, stage_ms=stage_ms, age_ms=age_ms)


def counts(received: int, processed: int, dropped: dict[str, int]) -> Counts:
    return Counts(received, processed, dropped, {}, "cpu", "thin")


# --- pictures -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("count", "wanted", "indices"),
    [(0, 12, []), (1, 12, [0]), (3, 3, [0, 1, 2]), (5, 3, [0, 2, 4]), (100, 4, [0, 33, 66, 99])],
)
def test_spread_has_first_last_and_even_steps(count: int, wanted: int, indices: list[int]) -> None:
    assert spread(count, wanted) == indices


@pytest.mark.parametrize(
    ("count", "columns", "rows"), [(1, 1, 1), (2, 2, 1), (3, 3, 1), (7, 3, 3), (12, 3, 4)]
)
def test_contact_sheet_has_every_picture_in_its_place(
    tmp_path: Path, count: int, columns: int, rows: int
) -> None:
    sheet = contact_sheet([picture(tmp_path, (90, 160), index) for index in range(count)], "title")
    height, width = sheet.shape[0] - 52, sheet.shape[1]  # below the title
    for index in range(count):
        row, column = divmod(index, columns)
        centre = sheet[52 + int((row + 0.45) * height / rows), int((column + 0.5) * width / columns)]
        assert np.abs(centre.astype(int) - COLOURS[index]).max() <= 3, index


def test_contact_sheet_fits_a_picture_of_another_shape_into_its_cell(tmp_path: Path) -> None:
    wide, tall = picture(tmp_path, (90, 160), 1), picture(tmp_path, (160, 90), 2)
    sheet = contact_sheet([wide, tall], "title").astype(int)
    is_tall = np.abs(sheet - COLOURS[2]).max(axis=2) <= 3
    found_height, found_width = np.ptp(np.argwhere(is_tall), axis=0) + 1
    assert found_height == pytest.approx(360, abs=2) and found_width == pytest.approx(360 * 90 / 160, abs=2)


@pytest.mark.parametrize(
    ("seconds", "fps", "frames"),
    [
        ([0.0], 10.0, [10]),
        ([0.0, 0.5], 10.0, [5, 5]),
        ([0.0, 0.1, 0.2, 0.3], 10.0, [1, 1, 1, 1]),
        ([0.0, 0.25, 0.5, 0.75], 10.0, [2, 3, 3, 2]),  # 2.5 frames each: 10 in one second
        ([0.0, 0.001, 1.0], 10.0, [1, 10, 10]),
    ],
)
def test_each_picture_is_shown_until_the_next_stamp(
    seconds: list[float], fps: float, frames: list[int]
) -> None:
    assert shown_frames([7_000_000_000 + round(second * 1e9) for second in seconds], fps) == frames


def test_video_shows_the_pictures_for_their_time(tmp_path: Path) -> None:
    pictures = [picture(tmp_path, (96, 160), index) for index in (0, 2, 3)]  # at 0, 0.2 and 0.3 s
    assert write_video(tmp_path / "x.mp4", pictures, 10.0) == 4
    video = cv2.VideoCapture(str(tmp_path / "x.mp4"))
    frames = []
    while (read := video.read())[0]:
        frames.append(read[1])
    assert video.get(cv2.CAP_PROP_FPS) == pytest.approx(10.0)
    assert [frame.shape for frame in frames] == [(96, 160, 3)] * 4
    for frame, index in zip(frames, (0, 0, 2, 3), strict=True):
        assert np.abs(frame.mean(axis=(0, 1)) - COLOURS[index]).max() < 12


# --- numbers ------------------------------------------------------------------------------------------


def test_a_cut_off_line_of_the_player_log_is_skipped(tmp_path: Path) -> None:
    log = tmp_path / "sent.csv"
    assert read_player_log(log) == []
    log.write_text("0,1000,a, b.png\n1,2000,c.png\n2,30")
    assert read_player_log(log) == [SentImage(0, 1000, "a, b.png"), SentImage(1, 2000, "c.png")]


def test_objects_are_counted_by_frame_and_by_instance() -> None:
    frames = [record(1, {"cup": [0.9, 0.7]}), record(2, {"cup": [0.8], "can": [0.6]}), record(3)]
    assert [(seen.name, seen.frames, seen.instances, seen.mean_score) for seen in objects_seen(frames)] == [
        ("cup", 2, 3, 0.8),
        ("can", 1, 1, 0.6),
    ]


def test_summary_has_percentiles_and_medians() -> None:
    frames = [record(index, age_ms=float(index)) for index in range(101)]
    summary = summarise(300, counts(299, 101, {"replaced_by_newer": 198}), frames, 90, None)
    assert summary.age_ms == {"p50": 50.0, "p95": 95.0, "max": 100.0}
    assert summary.stage_ms == {stage: float(index) for index, stage in enumerate(STAGES)}


@pytest.mark.parametrize(
    ("received", "processed", "dropped", "lines"),
    [
        (9, 4, {"replaced_by_newer": 3, "no_subscriber": 2}, ["9 received = 4 processed + 5 dropped\n"]),
        (9, 4, {"replaced_by_newer": 4}, ["9 received = 4 processed + 4 dropped + 1 in work\n"]),
        (10, 4, {}, ["10 received = 4 processed + 0 dropped + 6 in work\n"]),
        (8, 4, {"x": 4}, ["2 published but not received"]),
        (5, 5, {}, ["results of 4 of 5 processed frames recorded here"]),
    ],
)
def test_table_accounts_for_every_frame(
    received: int, processed: int, dropped: dict[str, int], lines: list[str]
) -> None:
    frames = [record(index, {"cup": [0.9]}) for index in range(4)]
    text = table(summarise(10, counts(received, processed, dropped), frames, 4, {"mask AP": 0.5}))
    for line in [*lines, *(f"{count} dropped: {reason}" for reason, count in dropped.items())]:
        assert line in text
    assert "cup  in 4 of 4 frames, mean score 0.90" in text


def square(row: int, column: int) -> tuple[MaskCrop, dict[str, Any]]:
    """A 20 x 10 object, and how COCO writes it."""
    mask = MaskCrop(column, row, np.ones((20, 10), np.bool_))
    rle = {"size": [60, 80], "counts": rle_counts(mask, (60, 80)).decode()}
    return mask, {"segmentation": rle, "bbox": [column, row, 10, 20], "area": 200, "iscrowd": 0}


@pytest.mark.parametrize(("shift", "ap"), [(0, 1.0), (40, 0.0)])
def test_accuracy_compares_the_frames_with_ground_truth(tmp_path: Path, shift: int, ap: float) -> None:
    pytest.importorskip("pycocotools", reason="pycocotools is not installed")
    truth = {
        "images": [{"id": index, "height": 60, "width": 80} for index in (0, 5)],
        "categories": [{"id": 7, "name": "cup"}],
        "annotations": [
            {**square(10, 8)[1], "id": index, "image_id": index - 1, "category_id": 7} for index in (1, 6)
        ],
    }
    path = tmp_path / "stream.json"
    path.write_text(json.dumps(truth))
    found = FrameRecord(
        stamp_ns=500,
        image_size=(60, 80),
        instances=[{"class": "cup", "score": 0.9}, {"class": "unknown", "score": 0.8}],
        masks=[rle_counts(square(10, 8 + shift)[0], (60, 80))] * 2,
    )
    sent = [SentImage(index, index * 100, str(index)) for index in range(6)]
    read = read_truth_of(tmp_path / "stream.mp4")
    assert read is not None and read.panoptic is None
    # Only frame 5 was both processed and annotated.
    assert accuracy(read, [found, FrameRecord(300)], sent) == {"mask AP": ap, "AP50": ap, "frames": 1}
    assert accuracy(read, [FrameRecord(300)], sent) is None


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("segmentation", [[float("nan"), 1, 5, 1, 5, 5]], "annotation 1 of image 0 has a polygon with"),
        ("segmentation", {"size": [8, 10], "counts": [5]}, "run lengths of 5 pixels"),
        ("segmentation", {"size": [10, 8], "counts": [80]}, "height comes first"),
        ("iscrowd", "0", "iscrowd '0'"),
        ("image_id", "0", "is of image '0', which is listed as 0"),
        ("category_id", [3], "has category_id [3]"),
    ],
)
def test_wrong_ground_truth_is_reported_and_the_run_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, value: object, problem: str
) -> None:
    pytest.importorskip("pycocotools", reason="pycocotools is not installed")
    write_bag_truth(tmp_path / "bag")
    path = tmp_path / "bag/truth/annotations.json"
    content = json.loads(path.read_text())
    content["annotations"][0][name] = value
    path.write_text(json.dumps(content))
    assert read_truth_of(tmp_path / "bag") is None
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"accuracy is not measured: {path}: ") and problem in line


@pytest.mark.parametrize("content", ["", "[]", '{"format": "mp4"}', "[" * 100_000])
def test_a_file_beside_a_video_that_is_not_ground_truth_is_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str
) -> None:
    pytest.importorskip("pycocotools", reason="pycocotools is not installed")
    (tmp_path / "clip.json").write_text(content)
    assert read_truth_of(tmp_path / "clip.mp4") is None
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"accuracy is not measured: {tmp_path / 'clip.json'}: not a")


def test_image_ids_that_are_text_are_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("pycocotools", reason="pycocotools is not installed")
    images = [{"id": "0", "height": 8, "width": 10}]
    content = {"images": images, "annotations": [], "categories": [{"id": 1, "name": "cup"}]}
    (tmp_path / "clip.json").write_text(json.dumps(content))
    assert read_truth_of(tmp_path / "clip.mp4") is None
    assert "image ids must be frame numbers, from 0" in capsys.readouterr().err


def test_ground_truth_of_another_image_size_is_not_compared(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("pycocotools", reason="pycocotools is not installed")
    truth = write_bag_truth(tmp_path / "bag")
    assert accuracy(truth, [FrameRecord(0, image_size=(10, 8))], [SentImage(0, 0, "0")]) is None
    assert "frame 0 is 8x10, but the ground truth says 10x8" in capsys.readouterr().err


def test_a_damaged_map_is_reported_and_the_run_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("pycocotools", reason="pycocotools is not installed")
    truth = write_bag_truth(tmp_path / "bag")
    (tmp_path / "bag/truth/panoptic/0.png").write_bytes(b"\x89PNG broken")
    received = FrameRecord(0, image_size=(8, 10), segment_map=png(np.zeros((8, 10), np.uint16)))
    assert accuracy(truth, [received], [SentImage(0, 0, "0")]) is None
    assert "accuracy is not measured" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("stuff", "expected"),
    # Half the table is covered: an IoU of 0.75; the cup is exact, the book is missed.
    [(True, {"PQ": round((1 + 0 + 0.75) / 3, 3)}), (False, {"PQ of things": 0.5})],
)
def test_panoptic_quality_covers_things_only_when_no_stuff_is_received(
    tmp_path: Path, stuff: bool, expected: dict[str, float]
) -> None:
    pytest.importorskip("pycocotools", reason="pycocotools is not installed")
    truth = write_bag_truth(tmp_path / "bag")
    predicted: NDArray[np.uint16] = np.zeros((8, 10), np.uint16)
    predicted[:2, :2], predicted[0, 9] = 1, 3
    segments = [
        {"id": 1, "class": "Cup", "is_thing": True},
        {"id": 3, "class": "unknown to the ground truth", "is_thing": True},
    ]
    if stuff:
        predicted[4:7] = 2
        segments.append({"id": 2, "class": "table", "is_thing": False})
    received = FrameRecord(0, image_size=(8, 10), segments=segments, segment_map=png(predicted))
    assert accuracy(truth, [received], [SentImage(0, 0, "0")]) == {
        "mask AP": 0.0,
        "AP50": 0.0,
        **expected,
        "frames": 1,
    }


def png(pixels: NDArray[Any]) -> bytes:
    return bytes(cv2.imencode(".png", pixels)[1])


def write_bag_truth(bag: Path) -> Truth:
    """One image with a cup, a book and a table, of 8 x 10 pixels."""
    maps = bag / "truth" / "panoptic"
    maps.mkdir(parents=True)
    true_map: NDArray[np.uint8] = np.zeros((8, 10, 3), np.uint8)
    true_map[:2, :2, 2], true_map[:2, 5:7, 2], true_map[4:, :, 2] = 101, 102, 9  # cv2 writes BGR
    (maps / "0.png").write_bytes(png(true_map))
    categories = [
        {"id": 3, "name": "cup", "isthing": 1},
        {"id": 8, "name": "book", "isthing": 1},
        {"id": 11, "name": "table", "isthing": 0},
    ]
    segments = [
        {"id": segment, "category_id": category, "area": area}
        for segment, category, area in ((101, 3, 4), (102, 8, 4), (9, 11, 40))
    ]
    images = [{"id": 0, "file_name": "0", "height": 8, "width": 10}]
    cup = {"size": [8, 10], "counts": rle_counts(MaskCrop(0, 0, np.ones((2, 2), np.bool_)), (8, 10)).decode()}
    instance = {"id": 1, "image_id": 0, "category_id": 3, "segmentation": cup, "bbox": [0, 0, 2, 2]}
    head = {"images": images, "categories": categories}
    annotations = [{**instance, "area": 4, "iscrowd": 0}]
    panoptic = [{"image_id": 0, "file_name": "0.png", "segments_info": segments}]
    for name, entries in (("annotations", annotations), ("panoptic", panoptic)):
        (bag / f"truth/{name}.json").write_text(json.dumps({**head, "annotations": entries}))
    truth = read_truth_of(bag)
    assert truth is not None
    return truth


# --- processes ----------------------------------------------------------------------------------------


def test_a_program_that_ignores_ctrl_c_is_ended_by_force(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(processes, "INTERRUPT_S", 0.2)
    monkeypatch.setattr(processes, "TERMINATE_S", 0.2)
    # A stand-in for seg_node.cli that ignores signals.
    monkeypatch.chdir(tmp_path)
    (tmp_path / "seg_node").mkdir()
    (tmp_path / "seg_node" / "cli.py").write_text(
        "import signal, time\n"
        "for number in (signal.SIGINT, signal.SIGTERM): signal.signal(number, signal.SIG_IGN)\n"
        "print('deaf', flush=True)\ntime.sleep(60)\n"
    )
    program = Program(["node"], tmp_path / "log", {**os.environ, "PYTHONPATH": str(tmp_path)})
    end = time.monotonic() + 20
    while "deaf" not in program.last_lines() and time.monotonic() < end:
        time.sleep(0.05)
    assert program.stop() == -signal.SIGKILL
    assert "does not exit on SIGINT" in capsys.readouterr().err


def demo(*arguments: str | Path) -> "subprocess.Popen[str]":
    command = [sys.executable, "-u", "-m", "seg_node.cli", "demo", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def processes_with(text: str) -> list[str]:
    """Command lines of running processes that contain this text."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode()
        except OSError:  # it has exited meanwhile
            continue
        if text in line:
            found.append(line)
    return found


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    random = np.random.default_rng(0)
    for index in range(4):
        small: NDArray[np.uint8] = random.integers(0, 256, (6, 8, 3), np.uint8)
        cv2.imwrite(str(folder / f"{index}.png"), cv2.resize(small, (160, 120)))
    return folder


def test_demo_writes_pictures_figures_and_a_table_that_adds_up(
    tmp_path: Path, images: Path, thin_checkpoint: tuple[Path, Path]
) -> None:
    weights, config = thin_checkpoint
    out = tmp_path / "out"
    process = demo("--images", images, "--weights", weights, "--config", config, "--out", out)
    text = process.communicate(timeout=110)[0]
    assert process.returncode == 0, text
    results = json.loads((out / "results.json").read_text())
    summary = results["summary"]
    assert summary["published"] == 4
    assert summary["counts"]["received"] == summary["counts"]["processed"] + sum(
        summary["counts"]["dropped"].values()
    )
    assert f"{summary['counts']['received']} received = {summary['counts']['processed']} processed" in text
    assert len(results["frames"]) == summary["counts"]["processed"] > 0
    for frame in results["frames"]:
        assert frame["source_name"] == f"{frame['source_index']}.png"
        assert frame["frame_id"] == "camera_optical_frame"
        assert (frame["height"], frame["width"]) == (120, 160)
        assert frame["age_ms"] > frame["stage_ms"]["infer"] > 0
        scores = [instance["score"] for instance in frame["instances"]]
        assert scores == sorted(scores, reverse=True)
        assert all(0 < instance["area"] <= 120 * 160 for instance in frame["instances"])
        assert {segment["instance_id"] for segment in frame["panoptic"]} <= {
            instance["id"] for instance in frame["instances"]
        }
    assert cv2.imread(str(out / "contact_sheet.png")) is not None
    assert cv2.VideoCapture(str(out / "annotated.mp4")).read()[1].shape == (120, 160, 3)
    assert "active" in (out / "node.log").read_text()
    assert not processes_with(str(tmp_path))


def test_demo_shows_why_the_node_failed(tmp_path: Path, images: Path) -> None:
    process = demo("--images", images, "--weights", tmp_path / "missing.pth", "--out", tmp_path / "out")
    text = process.communicate(timeout=110)[0]
    assert process.returncode == 1
    assert "missing.pth" in text and "node process ended" in text and "Traceback" not in text
    assert not processes_with(str(tmp_path))


def test_ctrl_c_ends_the_demo_and_its_processes(
    tmp_path: Path, images: Path, thin_checkpoint: tuple[Path, Path]
) -> None:
    process = demo("--images", images, "--weights", thin_checkpoint[0], "--out", tmp_path / "out")
    assert process.stdout is not None
    while "starting" not in process.stdout.readline():
        assert process.poll() is None
    assert processes_with(str(tmp_path / "images"))
    process.send_signal(signal.SIGINT)
    text = process.communicate(timeout=60)[0]
    assert process.returncode == 130
    assert "Traceback" not in text
    assert not processes_with(str(tmp_path)) and not processes_with(str(thin_checkpoint[0]))
