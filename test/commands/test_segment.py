# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""`seg_node segment` end to end: a thin torchvision Mask R-CNN, and a model with known results."""

import errno
import json
import os
import signal
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from exit_status import exit_status
from PIL import Image
from pycocotools import mask as coco_mask
from torchvision.models.detection import MaskRCNN
from torchvision.models.detection.backbone_utils import BackboneWithFPN
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor
from torchvision.models.resnet import Bottleneck, ResNet
from torchvision.ops import FrozenBatchNorm2d

from seg_node.cli import main
from seg_node.commands import segment as segment_module
from seg_node.drawing.video import AnnotatedVideo
from seg_node.prompts import with_prompts
from seg_node.sources.source import Source
from seg_node.types import (
    Frame,
    Instances,
    LabelSet,
    MaskCrop,
    PanopticSegments,
    Roi,
    Segment,
    Segmentation,
    SegmentOptions,
)

LABELS = LabelSet({1: "person", 47: "cup"}, {149: "grass"})
SIZE = (40, 64)
IMAGE_TYPE, HEADER_TYPE, TIME_TYPE = (
    "sensor_msgs/msg/Image",
    "std_msgs/msg/Header",
    "builtin_interfaces/msg/Time",
)


def picture(grey: int = 100, size: tuple[int, int] = SIZE) -> Image.Image:
    return Image.fromarray(np.full((*size, 3), grey, np.uint8))


def found_in(frame: Frame) -> Instances:
    """Find a person (0.9) and a cup (0.3) in the upper left, and nothing in a black picture."""
    if frame.pixels.max() < 30:
        return Instances.empty()
    masks = (
        MaskCrop(8, 4, np.eye(12, 20, dtype=bool) | (np.arange(20) > 5)),
        MaskCrop(40, 20, np.ones((10, 5), bool)),
    )
    return Instances(
        boxes_xyxy=np.array([(8, 4, 28, 16), (39.5, 20, 45.25, 30.75)], np.float32),
        scores=np.array([0.9, 0.3], np.float32),
        class_ids=np.array([1, 47], np.int32),
        masks=masks,
        ids=np.array([1, 2], np.uint32),
    )


class KnownEngine:
    """An engine that finds `found_in` above the thresholds, and grass below row 30 in the panoptic map."""

    device_name, precision = "cpu", "exact"

    def __init__(self, model: "KnownModel") -> None:
        self._model = model
        self.labels, self.default_options = model.labels, model.default_options

    def prompted(self, options: SegmentOptions, prompts: Sequence[str]) -> SegmentOptions:
        return with_prompts(options, prompts)

    def segment(self, frame: Frame, options: SegmentOptions) -> Segmentation:
        self._model.asked.append(options)
        found = found_in(frame)
        kept = [
            index
            for index in range(len(found))
            if found.scores[index] > options.score_threshold
            and (options.classes is None or found.class_ids[index] in options.classes)
        ]
        instances = Instances(
            found.boxes_xyxy[kept],
            found.scores[kept],
            found.class_ids[kept],
            tuple(found.masks[index] for index in kept),
            found.ids[kept],
        )
        panoptic = None
        if options.panoptic:
            segment_map = np.zeros(frame.image_size, np.uint16)
            segment_map[30:] = 300
            roi = Roi(0, 30, frame.image_size[1], frame.image_size[0] - 30)
            panoptic = PanopticSegments(
                segment_map, (Segment(300, 149, False, 0.0, roi.width * roi.height, roi, 0),)
            )
        return Segmentation(frame.image_size, instances, panoptic, {"prepare": 1.0, "infer": 20.0})


class KnownModel:
    def __init__(self, labels: LabelSet) -> None:
        self.labels = labels
        self.default_options = SegmentOptions(score_threshold=0.25)
        self.asked: list[SegmentOptions] = []


@pytest.fixture
def known_model(monkeypatch: pytest.MonkeyPatch) -> KnownModel:
    model = KnownModel(LABELS)
    monkeypatch.setattr("seg_node.export.open_model.load_model", lambda *_: model)
    monkeypatch.setattr("seg_node.export.open_model.open_engine", lambda *_: KnownEngine(model))
    return model


def read_json(path: Path) -> Any:
    return json.loads(path.read_text())


def test_instances_and_panoptic_files_say_what_the_engine_said(
    known_model: KnownModel, tmp_path: Path
) -> None:
    for name, grey in (("000000000139.png", 100), ("empty.png", 0), ("street.jpg", 200)):
        picture(grey).save(tmp_path / name)
    out = tmp_path / "deep" / "out"
    assert main(["segment", str(tmp_path), "--out", str(out)]) == 0
    results = read_json(out / "instances.json")
    assert [(r["file_name"], r["image_id"], r["category_id"]) for r in results] == [
        ("000000000139.png", 139, 1),
        ("000000000139.png", 139, 47),
        ("street.jpg", 2, 1),
        ("street.jpg", 2, 47),
    ]
    assert results[1]["bbox"] == [39.5, 20, 5.75, 10.75]
    assert [result["category_name"] for result in results] == ["person", "cup"] * 2
    keys = {"file_name", "image_id", "category_id", "category_name", "bbox", "score", "segmentation"}
    assert set(results[0]) == keys
    for result, crop in zip(
        results, found_in(Frame(np.full((*SIZE, 3), 99, np.uint8), "rgb")).masks * 2, strict=True
    ):
        mask = coco_mask.decode(result["segmentation"])
        assert mask.shape == SIZE and mask.sum() == crop.area
        rows, columns = crop.pixels.shape
        inside = mask[crop.y_offset : crop.y_offset + rows, crop.x_offset : crop.x_offset + columns]
        np.testing.assert_array_equal(inside, crop.pixels)

    panoptic = read_json(out / "panoptic.json")
    assert [annotation["image_id"] for annotation in panoptic["annotations"]] == [139, 1, 2]
    assert panoptic["images"][2] == {"id": 2, "file_name": "street.jpg", "width": 64, "height": 40}
    assert {category["name"]: category["isthing"] for category in panoptic["categories"]} == {
        "person": 1,
        "cup": 1,
        "grass": 0,
    }
    for annotation in panoptic["annotations"]:
        colours = np.asarray(Image.open(out / "panoptic" / annotation["file_name"])).astype(int)
        segment_map = colours @ (1, 256, 65536)
        assert (
            set(np.unique(segment_map)) - {0} == {info["id"] for info in annotation["segments_info"]} == {300}
        )
        (info,) = annotation["segments_info"]
        assert info["area"] == np.count_nonzero(segment_map == 300) == 640
        assert (info["bbox"], info["category_id"], info["isthing"]) == ([0, 30, 64, 10], 149, 0)


def changed_pixels(annotated: Path, original: Path) -> np.ndarray:
    difference = cv2.absdiff(cv2.imread(str(annotated)), cv2.imread(str(original)))
    return difference.max(axis=2) > 0


def test_annotated_pictures_show_what_is_sure(known_model: KnownModel, tmp_path: Path) -> None:
    known_model.labels = LabelSet(LABELS.things)
    for name, grey in (("a.png", 100), ("b.png", 0)):
        picture(grey).save(tmp_path / name)
    person = found_in(Frame(np.full((*SIZE, 3), 99, np.uint8), "rgb")).masks[0]
    for arguments, cup_is_drawn in ([], False), (["--score-threshold", "0.2"], True):
        out = tmp_path / f"out{len(arguments)}"
        assert main(["segment", str(tmp_path / "*.png"), "--out", str(out), *arguments]) == 0
        assert len(read_json(out / "instances.json")) == 2, "drawing thins out the picture only"
        changed = changed_pixels(out / "annotated/a.png", tmp_path / "a.png")
        assert changed.shape == SIZE
        assert changed[4:16, 8:28][person.pixels].mean() > 0.9
        assert changed[22:28, 42:43].all() == cup_is_drawn
        assert not changed_pixels(out / "annotated/b.png", tmp_path / "b.png").any()
        assert not (out / "panoptic.json").exists(), "this model knows no stuff"
    assert not any(options.panoptic for options in known_model.asked)


def test_thresholds_and_classes_reach_the_model(known_model: KnownModel, tmp_path: Path) -> None:
    image = tmp_path / "a.png"
    picture().save(image)
    command = ["segment", str(image), "--out", str(tmp_path / "out")]
    assert main(command) == 0
    assert main([*command, "--score-threshold", "0", "--classes", "cup, grass"]) == 0
    defaults, asked = known_model.asked
    assert defaults == replace(known_model.default_options, panoptic=True)
    assert (asked.score_threshold, asked.classes) == (0, {47, 149})
    assert [result["category_id"] for result in read_json(tmp_path / "out/instances.json")] == [47]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--score-threshold", "1.5"], "'1.5' is out of range; give a number from 0 to 1"),
        (["--device", "tpu"], "device 'tpu' is not known; use auto, cpu, cuda or cuda:N"),
        (["--precision", "int8"], "precision 'int8' is not known; choose from auto, exact"),
        (["--model", "yolo99"], "model family 'yolo99' is not known; choose from auto, embedded"),
        (["--weights", "none.pth"], "none.pth: no such weights file"),
    ],
)
def test_wrong_options_end_before_any_frame(
    known_model: KnownModel,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    picture().save(tmp_path / "a.png")
    command = ["segment", str(tmp_path), "--out", str(tmp_path / "out"), *arguments]
    assert exit_status(command) == 2
    assert message in capsys.readouterr().err
    assert not known_model.asked


def test_an_unknown_class_is_refused_before_any_frame(
    known_model: KnownModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture().save(tmp_path / "a.png")
    command = ["segment", str(tmp_path), "--out", str(tmp_path / "out"), "--classes", "unicorn"]
    assert main(command) == 1
    assert "unknown class unicorn; this model knows: grass, person, cup" in capsys.readouterr().err
    assert not known_model.asked


def test_a_live_camera_is_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["segment", "/dev/video0", "--out", str(tmp_path)]) == 1
    assert "/dev/video0: a camera's stream never ends" in capsys.readouterr().err


def test_unreadable_images_are_named_and_the_others_done(
    known_model: KnownModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture().save(tmp_path / "a.png")
    (tmp_path / "b.png").write_text("not an image")
    picture().save(tmp_path / "c.png")
    assert main(["segment", str(tmp_path), "--out", str(tmp_path / "out")]) == 1
    output = capsys.readouterr()
    table = {line.split()[0]: line.split(maxsplit=1)[1] for line in output.out.splitlines()}
    assert table["images"] == "2  (1 could not be read: b.png)"
    assert (table["instances"], table["person"], table["cup"]) == ("4", "2", "2")
    assert table["median"].split() == ["ms", "prepare", "1.0", "infer", "20.0", "on", "cpu,", "exact"]
    assert "left out b.png: " in output.err and "2/3" in output.err
    ids = [result["image_id"] for result in read_json(tmp_path / "out/instances.json")]
    assert ids == [1, 1, 3, 3], "ids count inputs, read or not"


def test_a_run_without_a_single_readable_image_writes_empty_files(
    known_model: KnownModel, tmp_path: Path
) -> None:
    (tmp_path / "b.png").write_text("not an image")
    assert main(["segment", str(tmp_path), "--out", str(tmp_path / "out")]) == 1
    assert read_json(tmp_path / "out/instances.json") == []


def test_the_table_counts_panoptic_segments_and_names_every_file(
    known_model: KnownModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a.png", "b.png"):
        picture().save(tmp_path / name)
    out = tmp_path / "out"
    assert main(["segment", str(tmp_path), "--out", str(out)]) == 0
    table = capsys.readouterr().out
    assert "panoptic segments  2  (0 things, 2 stuff)\n" in table
    assert f"{out}/instances.json, {out}/annotated/, {out}/panoptic.json, {out}/panoptic/\n" in table
    known_model.labels = LabelSet(LABELS.things)
    assert main(["segment", str(tmp_path), "--out", str(out)]) == 0
    table = capsys.readouterr().out
    assert "panoptic segments" not in table and "/panoptic/" not in table


def test_results_of_an_earlier_run_are_replaced_and_nothing_else(
    known_model: KnownModel, tmp_path: Path
) -> None:
    out, images = tmp_path / "out", tmp_path / "images"
    images.mkdir()
    for name in ("a.png", "b.png"):
        picture().save(images / name)
    assert main(["segment", str(images), "--out", str(out)]) == 0
    (out / "notes.txt").write_text("mine")
    known_model.labels = LabelSet(LABELS.things)
    assert main(["segment", str(images / "b.png"), "--out", str(out)]) == 0
    left = {file.relative_to(out).as_posix() for file in out.rglob("*") if file.is_file()}
    assert left == {"notes.txt", "instances.json", "annotated/b.png"}


@pytest.mark.parametrize("content", [None, '[{"id": 1, "score": 0.5}]', '{"images": []}'])
def test_a_folder_that_holds_other_things_keeps_them(
    content: str | None, known_model: KnownModel, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    for name in ("annotated/mine.png", "panoptic/mine.png", "panoptic.json"):
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_text("mine")
    if content is not None:
        (out / "instances.json").write_text(content)
    picture().save(tmp_path / "a.png")
    known_model.labels = LabelSet(LABELS.things)
    assert main(["segment", str(tmp_path), "--out", str(out)]) == 0
    assert all((out / f"{name}/mine.png").exists() for name in ("annotated", "panoptic"))
    assert (out / "panoptic.json").read_text() == "mine"


@pytest.mark.parametrize("argument", ["annotated", "annotated/a.png", "*/a.png"])
def test_inputs_among_the_old_results_are_not_removed(
    argument: str, known_model: KnownModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture().save(tmp_path / "a.png")
    out = tmp_path / "out"
    assert main(["segment", str(tmp_path), "--out", str(out)]) == 0
    assert main(["segment", str(out / argument), "--out", str(out)]) == 1
    assert "which is replaced; give another --out" in capsys.readouterr().err
    assert (out / "annotated/a.png").exists() and (out / "instances.json").exists()


@pytest.mark.parametrize("out", ["file", "file/deeper"])
def test_a_file_in_place_of_the_folder_is_refused(
    out: str, known_model: KnownModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture().save(tmp_path / "a.png")
    (tmp_path / "file").write_text("")
    assert exit_status(["segment", str(tmp_path), "--out", str(tmp_path / out)]) == 2
    assert f"--out: {tmp_path / out}: a file is in its place" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "status"), [(KeyboardInterrupt, 130), ("SIGTERM", 130), (RuntimeError("no memory"), 1)]
)
def test_an_interrupted_run_writes_what_it_has(
    error: BaseException | str,
    status: int,
    known_model: KnownModel,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    class Stops(KnownEngine):
        def segment(self, frame: Frame, options: SegmentOptions) -> Segmentation:
            if len(known_model.asked) == 2 and isinstance(error, str):
                signal.raise_signal(signal.SIGTERM)
            elif len(known_model.asked) == 2:
                raise error
            return super().segment(frame, options)

    monkeypatch.setattr(segment_module, "open_model", lambda _: Stops(known_model))
    for name in ("a.png", "b.png", "c.png"):
        picture().save(tmp_path / name)
    assert main(["segment", str(tmp_path), "--out", str(tmp_path / "out")]) == status
    names = {result["file_name"] for result in read_json(tmp_path / "out/instances.json")}
    assert names == {"a.png", "b.png"}
    assert len(read_json(tmp_path / "out/panoptic.json")["images"]) == 2
    output = capsys.readouterr()
    assert "2 of 3, stopped" in output.out if status == 130 else "no memory" in output.err


def test_images_of_one_stem_keep_separate_panoptic_maps(known_model: KnownModel, tmp_path: Path) -> None:
    for name in ("a.jpg", "a.png"):
        picture().save(tmp_path / name)
    assert main(["segment", str(tmp_path), "--out", str(tmp_path / "out")]) == 0
    files = [
        annotation["file_name"] for annotation in read_json(tmp_path / "out/panoptic.json")["annotations"]
    ]
    assert files == ["a.png", "a.png.png"]
    assert all((tmp_path / "out/panoptic" / file).is_file() for file in files)


def test_a_video_becomes_an_annotated_video(known_model: KnownModel, tmp_path: Path) -> None:
    height, width = SIZE
    writer = cv2.VideoWriter(
        str(tmp_path / "clip.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 12.5, (width, height)
    )
    for grey in (100, 0, 200):
        writer.write(np.full((height, width, 3), grey, np.uint8))
    writer.release()
    assert main(["segment", str(tmp_path / "clip.avi"), "--out", str(tmp_path / "out")]) == 0
    results = read_json(tmp_path / "out/instances.json")
    assert [(r["file_name"], r["image_id"], r["stamp_ns"]) for r in results[::2]] == [
        ("clip_000000", 1, 0),
        ("clip_000002", 3, 160_000_000),
    ]
    assert sorted(file.name for file in (tmp_path / "out/panoptic").iterdir()) == [
        f"clip_00000{index}.png" for index in range(3)
    ]
    video = cv2.VideoCapture(str(tmp_path / "out/annotated/clip.mp4"))
    assert video.get(cv2.CAP_PROP_FPS) == pytest.approx(12.5)
    frames = [video.read()[1] for _ in range(3)]
    assert not video.read()[0]
    assert frames[0].shape == (*SIZE, 3)
    assert np.abs(frames[0][6:14, 18:26].astype(int) - 100).max() > 20, "the person is drawn"
    assert np.abs(frames[0][:3].astype(int) - 100).mean() < 10


def test_every_second_frame_of_a_video_and_the_first_images_are_chosen(
    known_model: KnownModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    writer = cv2.VideoWriter(str(tmp_path / "clip.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 10, SIZE[::-1])
    for _ in range(6):
        writer.write(np.full((*SIZE, 3), 100, np.uint8))
    writer.release()
    out = tmp_path / "out"
    assert main(["segment", str(tmp_path / "clip.avi"), "--out", str(out), "--every", "2"]) == 0
    names = {result["file_name"] for result in read_json(out / "instances.json")}
    assert names == {"clip_000000", "clip_000002", "clip_000004"}
    assert cv2.VideoCapture(str(out / "annotated/clip.mp4")).get(cv2.CAP_PROP_FPS) == pytest.approx(5)
    (tmp_path / "images").mkdir()
    for name in "abcdef":
        picture().save(tmp_path / f"images/{name}.png")
    (tmp_path / "images/b.png").write_text("not among those that are read")
    command = ["segment", str(tmp_path / "images"), "--out", str(out), "--every", "2", "--frames", "2"]
    assert main(command) == 0
    assert {result["file_name"] for result in read_json(out / "instances.json")} == {"a.png", "c.png"}
    capsys.readouterr()
    assert exit_status([*command[:-1], "0"]) == 2
    assert "argument --frames: '0' is out of range; give 1 or more" in capsys.readouterr().err


def test_pictures_of_another_size_fit_into_the_video(tmp_path: Path) -> None:
    video = AnnotatedVideo(tmp_path / "v.mp4", 1 / 3)
    for size in ((40, 64), (80, 32), (40, 64)):
        video.write(np.full((*size, 3), 90, np.uint8))
    video.close()
    capture = cv2.VideoCapture(str(tmp_path / "v.mp4"))
    assert [capture.read()[0] for _ in range(4)] == [True, True, True, False]


@pytest.fixture(scope="module")
def thin_mask_rcnn() -> MaskRCNN:
    """Build torchvision's own Mask R-CNN with random weights, few channels and small inputs."""
    torch.manual_seed(1)
    body = ResNet(Bottleneck, [1, 1, 1, 1], width_per_group=4, norm_layer=FrozenBatchNorm2d)
    stages = {f"layer{index}": str(index - 1) for index in range(1, 5)}
    backbone = BackboneWithFPN(body, stages, [256, 512, 1024, 2048], 16)
    model = MaskRCNN(
        backbone,
        min_size=128,
        max_size=224,
        box_head=TwoMLPHead(16 * 49, 32),
        box_predictor=FastRCNNPredictor(32, 91),
        mask_head=MaskRCNNHeads(16, (16, 16, 16, 16), 1),
        mask_predictor=MaskRCNNPredictor(16, 16, 91),
    )
    with torch.no_grad():
        model.roi_heads.box_predictor.cls_score.weight *= 40
        model.roi_heads.mask_predictor.mask_fcn_logits.weight *= 40
    return model.eval()


def test_a_torchvision_checkpoint_gives_torchvisions_answer(thin_mask_rcnn: MaskRCNN, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    pixels = cv2.resize(
        random.integers(0, 256, (6, 10, 3), np.uint8), (200, 120), interpolation=cv2.INTER_CUBIC
    )
    Image.fromarray(pixels).save(tmp_path / "7.png")
    torch.save(thin_mask_rcnn.state_dict(), tmp_path / "thin.pth")
    (tmp_path / "thin.yaml").write_text("min_size: 128\nmax_size: 224\nfrozen_bn_eps: 1.0e-5\n")
    arguments = ["--model", "torchvision", "--weights", str(tmp_path / "thin.pth"), "--device", "cpu"]
    arguments += ["--config", str(tmp_path / "thin.yaml"), "--out", str(tmp_path / "out")]
    assert main(["segment", str(tmp_path / "7.png"), *arguments]) == 0

    with torch.inference_mode():
        (expected,) = thin_mask_rcnn([torch.from_numpy(pixels).permute(2, 0, 1) / 255])
    results = read_json(tmp_path / "out/instances.json")
    assert len(results) == len(expected["scores"]) > 5
    assert [result["category_id"] for result in results] == expected["labels"].tolist()
    assert {result["image_id"] for result in results} == {7}
    for index, result in enumerate(results):
        x, y, width, height = result["bbox"]
        assert [x, y, x + width, y + height] == pytest.approx(expected["boxes"][index].tolist(), abs=1e-3)
        assert result["score"] == pytest.approx(float(expected["scores"][index]), abs=1e-5)
        mask, wanted = (
            coco_mask.decode(result["segmentation"]) > 0,
            expected["masks"][index, 0].numpy() >= 0.5,
        )
        assert mask.shape == wanted.shape == (120, 200)
        assert (mask & wanted).sum() >= 0.999 * (mask | wanted).sum()
    assert sum(coco_mask.area(result["segmentation"]) for result in results) > 100
    assert cv2.imread(str(tmp_path / "out/annotated/7.png")).shape == (120, 200, 3)


def test_a_bags_results_carry_its_stamps(known_model: KnownModel, tmp_path: Path) -> None:
    rosbag2 = pytest.importorskip("rosbags.rosbag2", reason="rosbags is not installed")
    from rosbags.typesys import Stores, get_typestore

    store = get_typestore(Stores.ROS2_JAZZY)
    image, header, time = (store.types[name] for name in (IMAGE_TYPE, HEADER_TYPE, TIME_TYPE))
    with rosbag2.Writer(tmp_path / "run", version=9, storage_plugin=rosbag2.StoragePlugin.MCAP) as writer:
        connection = writer.add_connection("/camera/image_raw", IMAGE_TYPE, typestore=store)
        for index, encoding in enumerate(("bgr8", "no_such", "rgb8")):
            data = np.full(40 * 64 * 3, 100, np.uint8)
            message = image(header(time(50, index), "optical"), 40, 64, encoding, 0, 64 * 3, data)
            writer.write(connection, index * 10**8, store.serialize_cdr(message, IMAGE_TYPE))
    assert main(["segment", str(tmp_path / "run"), "--out", str(tmp_path / "out")]) == 1, "one frame is bad"
    results = read_json(tmp_path / "out/instances.json")
    assert [(r["file_name"], r["stamp_ns"]) for r in results[::2]] == [
        ("run_000000", 50 * 10**9),
        ("run_000002", 50 * 10**9 + 2),
    ]
    video = cv2.VideoCapture(str(tmp_path / "out/annotated/run.mp4"))
    assert video.get(cv2.CAP_PROP_FPS) == pytest.approx(10)
    assert [video.read()[0] for _ in range(3)] == [True, True, False]


# --- odd and hostile inputs -------------------------------------------------------------------------


def saved(path: Path, grey: int = 100) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture(grey).save(path)
    return path


def annotated(out: Path) -> list[str]:
    place = out / "annotated"
    return sorted(path.relative_to(place).as_posix() for path in place.rglob("*") if path.is_file())


def test_names_that_lead_upwards_write_nothing_outside_and_over_no_input(
    known_model: KnownModel, tmp_path: Path
) -> None:
    inputs = [saved(tmp_path / "a/x.png"), saved(tmp_path / "x.png")]
    before = [path.read_bytes() for path in inputs]
    arguments = [str(tmp_path / "a/../a/x.png"), str(tmp_path / "a/../x.png")]
    out = tmp_path / "out/deep"
    assert main(["segment", *arguments, "--out", str(out)]) == 0
    assert [path.read_bytes() for path in inputs] == before
    assert annotated(out) == ["a/x.png", "x.png"]
    assert {path.name for path in tmp_path.iterdir()} == {"a", "x.png", "out"}
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["deep"]


@pytest.mark.parametrize("place", ["annotated", "panoptic"])
def test_results_are_not_written_through_a_link(
    place: str, known_model: KnownModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = saved(tmp_path / "photos/a.png")
    before = image.read_bytes()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / place).symlink_to(image.parent, target_is_directory=True)
    assert main(["segment", str(image), "--out", str(tmp_path / "out")]) == 1
    assert f"{place}: is a symbolic link, through which nothing is written" in capsys.readouterr().err
    assert image.read_bytes() == before and [path.name for path in image.parent.iterdir()] == ["a.png"]


def test_a_link_among_the_results_is_replaced_and_the_input_behind_it_kept(
    known_model: KnownModel, tmp_path: Path
) -> None:
    image = saved(tmp_path / "a.png")
    before = image.read_bytes()
    (tmp_path / "out/annotated").mkdir(parents=True)
    (tmp_path / "out/annotated/a.png").symlink_to(image)
    (tmp_path / "out/instances.json").symlink_to(image)
    assert main(["segment", str(image), "--out", str(tmp_path / "out")]) == 0
    assert image.read_bytes() == before
    assert read_json(tmp_path / "out/instances.json") and not (tmp_path / "out/annotated/a.png").is_symlink()


def test_inputs_where_results_go_are_refused_without_old_results_too(
    known_model: KnownModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = saved(tmp_path / "annotated/a.png")
    before = image.read_bytes()
    (tmp_path / "link.png").symlink_to(image)
    for argument in (image, tmp_path / "link.png", tmp_path / "annotated"):
        assert main(["segment", str(argument), "--out", str(tmp_path)]) == 1
        assert "give another --out" in capsys.readouterr().err
    assert image.read_bytes() == before


NAMES = [
    b"\xe9t\xe9.png",
    b"%03d.png",
    b"a\nb.png",
    b"\x1b[31m.png",
    b"x" * 251 + b".png",
    b"y" * 251 + b".gif",
]


@pytest.mark.parametrize("folder", [b"out", b"\xe9t\xe9%d"])
def test_files_and_folders_of_any_name_are_segmented(
    folder: bytes, known_model: KnownModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in NAMES:
        saved(tmp_path / "in" / os.fsdecode(name))
    out = tmp_path / os.fsdecode(folder)
    assert main(["segment", str(tmp_path / "in"), "--out", str(out)]) == 0
    capsys.readouterr().out.encode()
    assert {result["file_name"] for result in read_json(out / "instances.json")} == set(
        map(os.fsdecode, NAMES)
    )
    written = set(annotated(out))
    assert set(map(os.fsdecode, NAMES[:5])) < written and len(written) == len(NAMES)
    maps = {each["file_name"] for each in read_json(out / "panoptic.json")["annotations"]}
    assert maps == {path.name for path in (out / "panoptic").iterdir()} and len(maps) == len(NAMES)


def test_a_picture_whose_format_cannot_be_written_in_colour_becomes_png(
    known_model: KnownModel, tmp_path: Path
) -> None:
    for name in ("a.pgm", "b.gif", "b.gif.png", "c.tga", "d.jp2"):
        saved(tmp_path / name)
    assert main(["segment", str(tmp_path), "--out", str(tmp_path / "out")]) == 0
    assert annotated(tmp_path / "out") == [
        "a.pgm.png",
        "b.gif.png",
        "b.gif.png.png",
        "c.tga.png",
        "d.jp2.png",
    ]


def test_class_names_of_any_text_are_drawn_and_counted(
    known_model: KnownModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    known_model.labels = LabelSet({1: "\udce9t\udce9\n\x1b[31m", 47: "x" * 100_000})
    assert main(["segment", str(saved(tmp_path / "a.png")), "--out", str(tmp_path / "out")]) == 0
    output = capsys.readouterr().out
    assert r"  \udce9t\udce9\n\x1b[31m  " in output and len(output) < 2000
    assert read_json(tmp_path / "out/instances.json")[0]["category_name"] == "\udce9t\udce9\n\x1b[31m"


def test_what_a_folder_holds_beside_pictures_is_said_and_no_failure(
    known_model: KnownModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    saved(tmp_path / "a.png")
    for name in ("notes.txt", "clip.mp4"):
        (tmp_path / name).touch()
    assert main(["segment", str(tmp_path), "--out", str(tmp_path / "out")]) == 0
    assert "passed over 2 files: " in capsys.readouterr().err
    (tmp_path / "b.heic").write_bytes(b"\0\0\0\x18ftypheic")
    assert main(["segment", str(tmp_path), "--out", str(tmp_path / "out")]) == 1
    output = capsys.readouterr()
    assert "left out b.heic: " in output.err and "(1 could not be read: b.heic)" in output.out


def test_many_unreadable_files_take_few_and_short_lines(
    known_model: KnownModel,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def source(arguments: Any, topic: Any, on_error: Any) -> Source:
        for index in range(1000):
            on_error(f"{index}\n" * 1000, ValueError("x" * 10**6))
        return Source("images", "in", iter(()), count=1000)

    monkeypatch.setattr(segment_module, "open_source", source)
    assert main(["segment", str(tmp_path), "--out", str(tmp_path / "out")]) == 1
    output = capsys.readouterr()
    lines = [line for line in output.err.splitlines() if line.strip() and "image" not in line]
    assert len(lines) == 101 and max(map(len, lines)) < 600
    assert "1000 could not be read: 0\\n0" in output.out and len(output.out) < 5000


def test_a_damaged_video_is_segmented_to_its_end_and_counted(
    known_model: KnownModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, SIZE[::-1])
    for grey in range(100, 220, 10):
        writer.write(np.full((*SIZE, 3), grey, np.uint8))
    writer.release()
    data = bytearray(path.read_bytes())
    at = data.index(b"movi")
    for _ in range(5):
        at = data.index(b"00dc", at + 4)
    size = int.from_bytes(data[at + 4 : at + 8], "little")
    data[at + 8 : at + 8 + size] = bytes(size)
    path.write_bytes(data)
    assert main(["segment", str(path), "--out", str(tmp_path / "out")]) == 1
    output = capsys.readouterr()
    assert "frames             11  (1 could not be read: clip_000004)" in output.out
    assert "left out clip_000004: frame 4 cannot be decoded" in output.err
    ids = sorted({result["file_name"] for result in read_json(tmp_path / "out/instances.json")})
    assert ids == [f"clip_{index:06d}" for index in range(12) if index != 4]


def test_a_full_disk_is_named_and_leaves_no_half_file(
    known_model: KnownModel,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def write_bytes(path: Path, data: bytes) -> int:
        with path.open("wb") as file:
            file.write(data[:10])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", write_bytes)
    out = tmp_path / "out"
    assert main(["segment", str(saved(tmp_path / "a.png")), "--out", str(out)]) == 1
    assert "cannot be written (No space left on device)" in capsys.readouterr().err
    assert not [path for path in out.rglob("*") if path.is_file()]
