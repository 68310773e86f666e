# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""`seg_node evaluate` end to end: a thin torchvision Mask R-CNN, and a model with known results."""

import contextlib
import io
import json
import shutil
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import pytest
import torch
from exit_status import exit_status
from known_model import (
    CUP_BOX,
    PERSON_BOX,
    SIZE,
    KnownModel,
    annotation,
    image_entry,
    report_in,
    write_coco,
    write_images,
    write_panoptic,
)
from PIL import Image
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from seg_node import __version__
from seg_node.cli import main
from seg_node.evaluation.average_precision import average_precision
from seg_node.evaluation.coco import instance_results
from seg_node.evaluation.ground_truth import TrueImage, match_classes, read_segment_map
from seg_node.inference.engine import Engine
from seg_node.models.load import load_model
from seg_node.types import Frame


def test_what_the_model_itself_found_as_ground_truth_gives_1(
    tmp_path: Path, thin_checkpoint: tuple[Path, Path]
) -> None:
    weights, config = thin_checkpoint
    model = load_model("torchvision", weights, config)
    engine = Engine(model, torch.device("cpu"))
    (tmp_path / "images").mkdir()
    random = np.random.default_rng(0)
    annotations, images = [], []
    for image_id, (height, width) in enumerate([(96, 128), (100, 60), (64, 64)]):
        pixels = random.integers(0, 255, (height, width, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"images/{image_id}.png")
        images.append(image_entry(image_id, (height, width)))
        found = engine.segment(Frame(pixels, "rgb"), model.default_options).instances
        annotations += instance_results(found, (height, width), f"{image_id}.png", image_id)
    assert len(annotations) > 20
    annotations = [{**a, "id": i, "category_id": 100 - a["category_id"]} for i, a in enumerate(annotations)]
    categories = [{"id": 100 - i, "name": name.upper()} for i, name in model.labels.things.items()]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (tmp_path / "truth.json").write_text(json.dumps(content))
    arguments = [
        "--coco",
        tmp_path / "truth.json",
        "--images",
        tmp_path / "images",
        "--out",
        tmp_path / "out",
    ]
    model_arguments = ["--model", "torchvision", "--weights", weights, "--config", config, "--device", "cpu"]
    assert main(["evaluate", *map(str, [*arguments, *model_arguments])]) == 0
    report = report_in(tmp_path)
    assert [report[key] for key in ("mask_ap", "mask_ap50", "box_ap", "box_ap50")] == pytest.approx([1] * 4)
    assert report["images"] == 3 and report["device"] == "cpu"
    assert report["model"]["weights"] == str(weights)
    assert set(report["median_ms"]) == {"prepare", "infer", "assemble"}


def test_instances_are_scored_class_by_class_by_name(
    tmp_path: Path, known_model: KnownModel, capsys: pytest.CaptureFixture[str]
) -> None:
    write_images(tmp_path / "images", 2)
    annotations = [
        annotation(0, 7, PERSON_BOX),
        annotation(0, 8, CUP_BOX, 1),
    ]  # 1.png has nothing: false alarms
    arguments = write_coco(tmp_path / "truth.json", annotations, 2)
    assert main(["evaluate", *arguments]) == 0
    report = report_in(tmp_path)
    assert [report["mask_ap"], report["per_class"]["person"]["box_ap50"]] == pytest.approx([1, 1])
    assert report["per_class"]["person"]["objects"] == 1
    assert report["per_class"]["cup"] == {
        "objects": 0, "mask_ap": None, "mask_ap50": None, "box_ap": None, "box_ap50": None
    }  # fmt: skip
    assert report["classes"]["instances"] == {
        "scored": ["cup", "person"],
        "not_known_to_model": ["unicorn", "grass", "sea"],
        "not_in_ground_truth": ["dragon"],
    }
    assert "pq" not in report and known_model.asked[0].panoptic is False
    assert known_model.asked[0].score_threshold == report["score_threshold"] == 0.25
    results = json.loads((tmp_path / "out/instances.json").read_text())
    assert [(r["image_id"], r["category_id"]) for r in results] == [(0, 7), (0, 0), (1, 7), (1, 0)]
    table = capsys.readouterr().out
    assert "3: unicorn, grass, sea" in table and "1: dragon" in table and "mask AP" in table


def test_missed_objects_and_false_alarms_lower_the_precision(tmp_path: Path, known_model: KnownModel) -> None:
    write_images(tmp_path / "images", 1)
    annotations = [
        annotation(0, 7, PERSON_BOX),
        annotation(0, 7, (30, 0, 5, 5), 1),
        annotation(0, 0, (0, 0, 3, 3), 2),
    ]
    assert main(["evaluate", *write_coco(tmp_path / "truth.json", annotations, 1)]) == 0
    per_class = report_in(tmp_path)["per_class"]
    assert per_class["person"]["mask_ap"] == pytest.approx(51 / 101)  # of 101 recalls those up to a half
    assert per_class["cup"]["mask_ap"] == 0


def test_what_is_found_in_a_crowd_is_ignored(tmp_path: Path, known_model: KnownModel) -> None:
    write_images(tmp_path / "images", 2)
    crowd = coco_mask.encode(np.asfortranarray(np.ones(SIZE, np.uint8)))
    crowd["counts"] = crowd["counts"].decode()
    annotations = [
        annotation(0, 7, (0, 0, 64, 40), segmentation=crowd, iscrowd=1),
        annotation(1, 7, PERSON_BOX, 1),
    ]
    assert main(["evaluate", *write_coco(tmp_path / "truth.json", annotations, 2)]) == 0
    person = report_in(tmp_path)["per_class"]["person"]
    assert (person["mask_ap"], person["objects"]) == pytest.approx((1, 1))


def test_panoptic_maps_are_scored_alone(tmp_path: Path, known_model: KnownModel) -> None:
    write_images(tmp_path / "images", 1)
    assert main(["evaluate", *write_panoptic(tmp_path)]) == 0
    report = report_in(tmp_path)
    assert report["pq"] == report["sq"] == report["rq"] == {"all": 1, "things": 1, "stuff": 1}
    assert "mask_ap" not in report and known_model.asked[0].panoptic
    assert report["per_class"]["grass"]["true_positives"] == 1
    assert report["classes"]["panoptic"]["not_in_ground_truth"] == ["lava", "dragon"]
    assert report["classes"]["panoptic"]["not_known_to_model"] == ["unicorn", "sea"]
    (written,) = json.loads((tmp_path / "out/panoptic.json").read_text())["annotations"]
    pixels = read_segment_map(tmp_path / "out/panoptic" / written["file_name"])
    areas = {info["category_id"]: info["area"] for info in written["segments_info"]}
    assert areas == {7: 240, 0: 50, 20: 600}
    for info in written["segments_info"]:
        assert (pixels == info["id"]).sum() == info["area"]
    assert (pixels == 0).sum() == 40 * 64 - 890, "dragon and lava are void"


def test_both_ground_truths_make_one_report(tmp_path: Path, known_model: KnownModel) -> None:
    write_images(tmp_path / "images", 3)
    panoptic = write_panoptic(tmp_path, 2)
    coco = write_coco(tmp_path / "coco.json", [annotation(2, 7, PERSON_BOX)], 3)
    assert main(["evaluate", *coco, *panoptic[:2], "--score-threshold", "0.7", "--device", "cpu"]) == 0
    report = report_in(tmp_path)
    assert report["images"] == len(known_model.asked) == 3
    assert report["pq"] == {"all": pytest.approx(2 / 3), "things": 0.5, "stuff": 1}, "no cup over 0.7"
    assert report["per_class"]["person"].keys() >= {"mask_ap", "pq", "true_positives"}
    assert report["per_class"]["cup"]["false_negatives"] == 2
    assert {option.score_threshold for option in known_model.asked} == {0.7}


def test_images_that_do_not_fit_are_left_out_by_name(
    tmp_path: Path, known_model: KnownModel, capsys: pytest.CaptureFixture[str]
) -> None:
    write_images(tmp_path / "images", 5)
    (tmp_path / "images/1.png").unlink()
    Image.new("RGB", (64, 41)).save(tmp_path / "images/2.png")
    (tmp_path / "images/3.png").write_bytes(b"\x89PNG broken")
    panoptic = write_panoptic(tmp_path, 5)
    Image.new("RGB", (64, 40), (9, 0, 0)).save(tmp_path / "truth/map4.png")
    annotations = [annotation(i, 7, PERSON_BOX, i) for i in range(5)]
    coco = write_coco(tmp_path / "coco.json", annotations, 5)
    assert main(["evaluate", *coco, *panoptic[:2]]) == 1
    report = report_in(tmp_path)
    assert report["images"] == 1
    assert list(report["images_left_out"]) == ["1.png", "2.png", "3.png", "4.png"]
    assert "no such image" in report["images_left_out"]["1.png"]
    assert "64x41 upright, but the ground truth says 64x40" in report["images_left_out"]["2.png"]
    assert "segment ids 9 are in the map" in report["images_left_out"]["4.png"]
    assert (report["mask_ap"], report["pq"]["all"]) == pytest.approx((1, 1)), (
        "their objects do not count as missed"
    )
    output = capsys.readouterr()
    assert "left out 3.png" in output.err and "left out 4: 1.png, 2.png" in output.out


def test_a_picture_outside_the_folder_is_refused_before_the_model_is_loaded(
    tmp_path: Path, known_model: KnownModel, capsys: pytest.CaptureFixture[str]
) -> None:
    write_images(tmp_path / "images", 2)
    (tmp_path / "images/1.png").rename(tmp_path / "1.png")
    coco = write_coco(tmp_path / "truth.json", [annotation(0, 7, PERSON_BOX, 0)], 2)
    content = json.loads((tmp_path / "truth.json").read_text())
    content["images"][1]["file_name"] = "../1.png"
    (tmp_path / "truth.json").write_text(json.dumps(content))
    assert main(["evaluate", *coco]) == 1
    assert "file_name ../1.png leads out of the folder" in capsys.readouterr().err
    assert not known_model.asked


def test_many_skipped_images_are_reported_in_few_lines(
    tmp_path: Path, known_model: KnownModel, capsys: pytest.CaptureFixture[str]
) -> None:
    write_images(tmp_path / "images", 1)
    annotations = [annotation(i, 7, PERSON_BOX, i) for i in range(30)]
    assert main(["evaluate", *write_coco(tmp_path / "truth.json", annotations, 30)]) == 1
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("left out")]
    assert [line.split(":")[0] for line in lines] == [
        *(f"left out {i}.png" for i in range(1, 6)),
        "left out 24 more images",
    ]
    assert len(report_in(tmp_path)["images_left_out"]) == 29


def test_the_report_says_what_was_compared_when_and_with_which_versions(
    tmp_path: Path, known_model: KnownModel
) -> None:
    write_images(tmp_path / "images", 1)
    panoptic = write_panoptic(tmp_path)
    before = datetime.now(timezone.utc).replace(microsecond=0)
    assert main(["evaluate", *panoptic]) == 0
    report = report_in(tmp_path)
    assert report["ground_truth"] == {
        "coco": None,
        "panoptic": str(tmp_path / "truth.json"),
        "panoptic_dir": str(tmp_path / "truth"),
        "images": str(tmp_path / "images"),
    }
    assert before <= datetime.fromisoformat(report["date"]) <= datetime.now(timezone.utc)
    assert set(report["versions"]) == {"seg_node", "torch", "numpy", "pycocotools"}
    assert report["versions"]["seg_node"] == __version__ and report["versions"]["numpy"] == np.__version__
    assert report["versions"]["torch"] == torch.__version__


def test_the_table_says_which_score_threshold_was_used(
    tmp_path: Path, known_model: KnownModel, capsys: pytest.CaptureFixture[str]
) -> None:
    write_images(tmp_path / "images", 1)
    coco, panoptic = write_coco(tmp_path / "coco.json", [], 1), write_panoptic(tmp_path)
    for arguments, words in (
        (coco, "0.25, its reference's own; AP is higher the lower it is"),
        ([*coco, "--score-threshold", "0.5"], "0.5, as given; AP is higher the lower it is"),
        (panoptic, "0.25, its reference's own"),
    ):
        assert main(["evaluate", *arguments]) == 0
        (line,) = (x for x in capsys.readouterr().out.splitlines() if x.startswith("score threshold"))
        assert line.removeprefix("score threshold").strip() == words


def test_images_are_turned_upright(tmp_path: Path, known_model: KnownModel) -> None:
    write_images(tmp_path / "images", 1, SIZE[::-1])
    exif = Image.Exif()
    exif[0x0112] = 6
    path = tmp_path / "images/0.png"
    Image.open(path).copy().save(path, exif=exif)
    assert main(["evaluate", *write_coco(tmp_path / "truth.json", [annotation(0, 7, PERSON_BOX)], 1)]) == 0
    assert report_in(tmp_path)["mask_ap"] == pytest.approx(1)


def test_limit_takes_the_first_images_and_scores_no_others(tmp_path: Path, known_model: KnownModel) -> None:
    write_images(tmp_path / "images", 3)
    annotations = [annotation(i, 7, PERSON_BOX, i) for i in range(3)]
    assert main(["evaluate", *write_coco(tmp_path / "truth.json", annotations, 3), "--limit", "1"]) == 0
    report = report_in(tmp_path)
    assert (report["images"], report["mask_ap"], report["per_class"]["person"]["objects"]) == (
        1,
        pytest.approx(1),
        1,
    )


def test_a_set_without_objects_has_no_numbers(tmp_path: Path, known_model: KnownModel) -> None:
    write_images(tmp_path / "images", 1)
    Image.new("RGB", (64, 40)).save(tmp_path / "images/0.png")  # black: the model finds nothing either
    assert main(["evaluate", *write_coco(tmp_path / "truth.json", [], 1)]) == 0
    report = report_in(tmp_path)
    assert report["mask_ap"] is None and report["box_ap50"] is None


def refused(tmp_path: Path, capsys: pytest.CaptureFixture[str], *arguments: str, status: int = 1) -> str:
    assert exit_status(["evaluate", *arguments]) == status
    assert not (tmp_path / "out/evaluation.json").exists()
    return capsys.readouterr().err


def test_wrong_arguments_are_explained(
    tmp_path: Path, known_model: KnownModel, capsys: pytest.CaptureFixture[str]
) -> None:
    write_images(tmp_path / "images", 1)
    coco = write_coco(tmp_path / "coco.json", [annotation(0, 7, PERSON_BOX)], 1)
    panoptic = write_panoptic(tmp_path)
    assert "name a file with --coco" in refused(tmp_path, capsys, *coco[2:], status=2)
    assert "needs --panoptic" in refused(tmp_path, capsys, *coco, "--panoptic-dir", str(tmp_path), status=2)
    assert "'0' is out of range; give 1 or more" in refused(tmp_path, capsys, *coco, "--limit", "0", status=2)
    assert "'2' is out of range; give a number from 0 to 1" in refused(
        tmp_path, capsys, *coco, "--score-threshold", "2", status=2
    )
    told = refused(tmp_path, capsys, "--panoptic", coco[1], *coco[2:])
    assert f"{coco[1]}: is a ground truth of instances" in told and "it belongs to --coco" in told
    told = refused(tmp_path, capsys, "--coco", panoptic[1], *coco[2:])
    assert f"{panoptic[1]}: is a ground truth of panoptic maps" in told and "belongs to --panoptic" in told
    (tmp_path / "file").write_text("")
    assert "a file is in its place" in refused(tmp_path, capsys, *coco[:-1], str(tmp_path / "file"), status=2)
    shutil.rmtree(tmp_path / "truth")
    assert "--panoptic-dir" in refused(tmp_path, capsys, *panoptic)
    (tmp_path / "images/0.png").unlink()
    assert "none of the 1 images" in refused(tmp_path, capsys, *coco)
    (tmp_path / "images").rmdir()
    assert "images: no such folder" in refused(tmp_path, capsys, *coco, status=2)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("{", "not a JSON file"),
        ("[]", "no list 'images'"),
        ('{"images": [], "annotations": []}', "no list 'categories'"),
        ('{"images": [], "annotations": [], "categories": []}', "lists no image"),
        ('{"images": [{"id": 4}], "annotations": [], "categories": []}', "image 4 has no 'file_name'"),
        (
            '{"images":[],"annotations":[],"categories":[{"id":1,"name":"a"},{"id":2,"name":"A"}]}',
            "two categories are called 'A'",
        ),
    ],
)
def test_a_damaged_ground_truth_is_explained(
    content: str, text: str, tmp_path: Path, known_model: KnownModel, capsys: pytest.CaptureFixture[str]
) -> None:
    write_images(tmp_path / "images", 1)
    arguments = write_coco(tmp_path / "coco.json", [], 1)
    (tmp_path / "coco.json").write_text(content)
    error = refused(tmp_path, capsys, *arguments)
    assert str(tmp_path / "coco.json") in error or text == "lists no image"
    assert text in error


def test_ground_truths_of_different_images_are_refused(
    tmp_path: Path, known_model: KnownModel, capsys: pytest.CaptureFixture[str]
) -> None:
    write_images(tmp_path / "images", 1)
    panoptic = write_panoptic(tmp_path)
    coco = write_coco(tmp_path / "coco.json", [], 1)
    content = json.loads((tmp_path / "coco.json").read_text())
    content["images"][0]["width"] = 65
    (tmp_path / "coco.json").write_text(json.dumps(content))
    assert "must be of the same images" in refused(tmp_path, capsys, *coco, *panoptic[:2])


def test_without_pycocotools_the_extra_is_named_before_the_model_runs(
    tmp_path: Path,
    known_model: KnownModel,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write_images(tmp_path / "images", 1)
    monkeypatch.setitem(__import__("sys").modules, "pycocotools", None)
    coco = write_coco(tmp_path / "coco.json", [], 1)
    assert "pip install pycocotools" in refused(tmp_path, capsys, *coco)
    assert not known_model.asked
    assert main(["evaluate", *write_panoptic(tmp_path)]) == 0, "panoptic quality does without"


def test_classes_without_a_common_name_are_refused() -> None:
    with pytest.raises(ValueError, match="the model: cat; the ground truth: dog"):
        match_classes({1: "cat"}, {1: "dog"})


def test_the_precision_is_that_of_the_coco_tools(tmp_path: Path) -> None:
    random = np.random.default_rng(5)
    images = [TrueImage(i, f"{i}.png", (50, 60)) for i in (3, 4, 9)]

    def boxes(count: int) -> list[tuple[int, ...]]:
        return [
            tuple(map(int, (*random.integers(0, 25, 2), *random.integers(8, 20, 2)))) for _ in range(count)
        ]

    truth, results = [], []
    for image in images:
        for box in boxes(8):
            category = int(random.integers(1, 4))
            crowd = bool(random.random() < 0.1)
            truth.append(annotation(image.id, category, box, len(truth) + 1, iscrowd=int(crowd)))
            for shift in random.integers(-2, 3, (3, 4)):
                x, y, w, h = (int(value) for value in np.maximum(np.array(box) + shift, 1))
                mask = np.zeros((50, 60), np.uint8)
                mask[y : y + h, x : x + w] = 1
                run_lengths = coco_mask.encode(np.asfortranarray(mask))
                result = {
                    "image_id": image.id,
                    "category_id": int(random.integers(1, 4)) if shift[0] > 1 else category,
                }
                result |= {"bbox": [x, y, w, h], "score": float(random.random())}
                results.append(
                    {**result, "segmentation": {**run_lengths, "counts": run_lengths["counts"].decode()}}
                )
    content = {
        "images": [{"id": i.id, "height": 50, "width": 60} for i in images],
        "annotations": truth,
        "categories": [{"id": i, "name": str(i)} for i in (1, 2, 3)],
    }
    (tmp_path / "truth.json").write_text(json.dumps(content))
    for kind, used in (("mask", "segm"), ("box", "bbox")):
        (tmp_path / "results.json").write_text(
            json.dumps([{k: v for k, v in r.items() if kind == "box" or k != "bbox"} for r in results])
        )
        with contextlib.redirect_stdout(io.StringIO()):
            true_side = COCO(str(tmp_path / "truth.json"))
            tool = COCOeval(true_side, true_side.loadRes(str(tmp_path / "results.json")), used)
            tool.evaluate()
            tool.accumulate()
            tool.summarize()
        mean, each = average_precision(kind, images, truth, results, [1, 2, 3])
        assert 0.1 < tool.stats[0] < 0.9
        assert (mean.ap, mean.ap50) == pytest.approx((tool.stats[0], tool.stats[1]))
        assert np.mean([precision.ap for precision in each.values()]) == pytest.approx(tool.stats[0])
