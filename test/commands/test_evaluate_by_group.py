# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""`seg_node evaluate` with groups of classes in the labels file, by a model with known results."""

import json
from pathlib import Path

import pytest
from known_model import (
    CATEGORIES,
    CUP_BOX,
    DRAGON_BOX,
    PERSON_BOX,
    KnownEngine,
    KnownModel,
    annotation,
    report_in,
    write_coco,
    write_images,
    write_panoptic,
)

from seg_node.class_groups import group_classes
from seg_node.cli import main
from seg_node.groups_file import read_groups
from seg_node.models.assemble.regroup import regroup
from seg_node.types import Frame, Segmentation, SegmentOptions


class GroupedEngine(KnownEngine):
    """The known engine with the groups of a labels file."""

    def __init__(self, model: KnownModel, path: Path) -> None:
        super().__init__(model)
        rules = read_groups(path)
        assert rules is not None
        self._groups = group_classes(rules, model.labels)
        self.labels = self._groups.labels

    def segment(self, frame: Frame, options: SegmentOptions) -> Segmentation:
        return regroup(super().segment(frame, options), self._groups, options)


@pytest.fixture
def labels(tmp_path: Path, known_model: KnownModel, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that groups person and cup, and grass and lava, and drops the dragon."""
    path = tmp_path / "labels.yaml"
    path.write_text("groups: {mine: [person, Cup], Sea: [grass, lava]}\ndrop: [dragon]\nids: {mine: 3}\n")
    monkeypatch.setattr("seg_node.export.open_model.open_engine", lambda *_: GroupedEngine(known_model, path))
    return path


def test_objects_of_all_categories_of_a_group_are_hits(tmp_path: Path, labels: Path) -> None:
    write_images(tmp_path / "images", 1)
    objects = [annotation(0, 7, PERSON_BOX), annotation(0, 0, CUP_BOX, 1), annotation(0, 8, DRAGON_BOX, 2)]
    arguments = write_coco(tmp_path / "truth.json", objects, 1)
    assert main(["evaluate", *arguments, "--labels", str(labels), "--by-group"]) == 0
    report = report_in(tmp_path)
    assert report["by_group"] is True
    assert report["per_class"] == {
        "mine": {
            "objects": 2,
            **dict.fromkeys(("mask_ap", "mask_ap50", "box_ap", "box_ap50"), pytest.approx(1)),
        }
    }
    assert report["classes"]["instances"] == {
        "scored": ["mine"],
        "not_known_to_model": ["unicorn", "Sea"],
        "not_in_ground_truth": [],
    }
    # in the ids of the ground truth: that of the first category in the group
    results = json.loads((tmp_path / "out/instances.json").read_text())
    assert [r["category_id"] for r in results] == [0, 0]


def test_a_missed_object_of_one_category_lowers_the_groups_precision(tmp_path: Path, labels: Path) -> None:
    write_images(tmp_path / "images", 1)
    objects = [annotation(0, 7, PERSON_BOX), annotation(0, 0, CUP_BOX, 1), annotation(0, 0, (0, 0, 3, 3), 2)]
    arguments = write_coco(tmp_path / "truth.json", objects, 1)
    assert main(["evaluate", *arguments, "--labels", str(labels), "--by-group"]) == 0
    # of 101 recalls those up to two thirds
    assert report_in(tmp_path)["mask_ap"] == pytest.approx(67 / 101)


def test_stuff_of_one_group_is_one_true_segment(tmp_path: Path, labels: Path) -> None:
    write_images(tmp_path / "images", 1)
    arguments = write_panoptic(tmp_path)
    assert main(["evaluate", *arguments, "--labels", str(labels), "--by-group"]) == 0
    report = report_in(tmp_path)
    assert report["per_class"]["mine"]["true_positives"] == 2
    assert report["pq"]["things"] == pytest.approx(1)
    # true: 600 pixels of grass and 100 of sea; found: those of grass and 40 of lava, which are void
    assert report["per_class"]["Sea"]["pq"] == pytest.approx(600 / 700)
    written = json.loads((tmp_path / "out/panoptic.json").read_text())
    assert written["categories"] == [
        {"id": 0, "name": "mine", "isthing": 1},
        {"id": 8, "name": "unicorn", "isthing": 1},
        {"id": 20, "name": "Sea", "isthing": 0},
    ]
    assert [s["category_id"] for s in written["annotations"][0]["segments_info"]] == [0, 0, 20]


def test_without_by_group_the_groups_names_are_compared_with_the_categories(
    tmp_path: Path, labels: Path
) -> None:
    write_images(tmp_path / "images", 1)
    arguments = write_panoptic(tmp_path)
    assert main(["evaluate", *arguments, "--labels", str(labels)]) == 0
    report = report_in(tmp_path)
    assert report["by_group"] is False
    assert report["classes"]["panoptic"] == {
        "scored": ["sea"],
        "not_known_to_model": ["cup", "person", "unicorn", "grass"],
        "not_in_ground_truth": ["mine"],
    }


def test_a_group_of_true_things_and_stuff_is_refused(
    tmp_path: Path, labels: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_images(tmp_path / "images", 1)
    arguments = write_panoptic(tmp_path)
    content = json.loads((tmp_path / "truth.json").read_text())
    content["categories"] = [{**c, "isthing": int(c["name"] != "person")} for c in CATEGORIES]
    (tmp_path / "truth.json").write_text(json.dumps(content))
    assert main(["evaluate", *arguments, "--labels", str(labels), "--by-group"]) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert "group 'mine' has the categories 'cup' and 'person', of which the ground truth counts one" in error


@pytest.mark.parametrize("given", ["", "drop: [dragon]"])
def test_by_group_needs_groups(
    given: str, tmp_path: Path, known_model: KnownModel, capsys: pytest.CaptureFixture[str]
) -> None:
    write_images(tmp_path / "images", 1)
    arguments = write_coco(tmp_path / "truth.json", [], 1)
    (tmp_path / "labels.yaml").write_text(given)
    if given:
        arguments += ["--labels", str(tmp_path / "labels.yaml")]
    assert main(["evaluate", *arguments, "--by-group"]) == (1 if given else 2)
    assert "--by-group needs --labels FILE with the key groups" in capsys.readouterr().err
