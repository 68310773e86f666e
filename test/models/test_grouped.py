# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Models of every family with a labels file that groups, drops and renumbers their classes."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import thin_detectron2
import thin_solo
import thin_torchvision
import thin_yolact
import torch
import yaml

from seg_node.class_groups import group_classes
from seg_node.export.info import ExportInfo, check_fits, exportable, fingerprint
from seg_node.groups_file import GroupRules
from seg_node.inference.cuda_graph import CudaGraphs, drop_cuda_graphs, use_cuda_graphs
from seg_node.inference.engine import Engine
from seg_node.masks.overlap import intersection_areas, mask_areas, mask_ious
from seg_node.masks.panoptic import fuse_panoptic
from seg_node.models.files.load_error import LoadError
from seg_node.models.grouped import GroupedModel
from seg_node.models.load import load_model
from seg_node.models.rcnn.model import RCNNModel
from seg_node.predictor import Predictor
from seg_node.types import Frame, Instances, LabelSet, Segmentation, SegmentOptions

Writer = Callable[[Path], tuple[Path, Path | None]]
MINE, GROUND = 7, 250  # class ids of the groups


def write_thin_transformers(folder: Path) -> tuple[Path, Path | None]:
    pytest.importorskip("transformers")
    from thin_transformers import write_thin_checkpoint

    return write_thin_checkpoint(folder)


WRITERS = [
    thin_torchvision.write_thin_checkpoint,
    thin_detectron2.write_thin_panoptic_checkpoint,
    thin_yolact.write_thin_checkpoint,
    thin_solo.write_thin_checkpoint,
    write_thin_transformers,
]


def coloured_frame() -> Frame:
    small = np.random.default_rng(1).integers(0, 256, (9, 12, 3), np.uint8)
    return Frame(cv2.resize(small, (160, 120)), "bgr")


def lively(engine: Engine) -> SegmentOptions:
    return replace(
        engine.default_options, score_threshold=0.0, max_instances=40, panoptic_score_threshold=0.0
    )


def write_labels(folder: Path, **content: Any) -> Path:
    path = folder / "labels.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


@pytest.mark.parametrize("write", WRITERS)
def test_groups_are_the_models_own_classes_under_other_names(write: Writer, tmp_path: Path) -> None:
    weights, config = write(tmp_path)
    engine = Engine(load_model("auto", weights, config), torch.device("cpu"))
    frame, options = coloured_frame(), lively(engine)
    all_found = engine.segment(frame, options).instances.class_ids
    things, stuff = sorted(engine.labels.things), sorted(engine.labels.stuff)
    classes = [i for i in np.unique(all_found).tolist() if i in things]  # COCO's unused ids have no name
    lost = classes[0] if len(classes) > 2 else next(i for i in things if i not in classes[:2])
    members = [i for i in classes if i != lost][:3]
    members += [i for i in things if i not in (*members, lost)][:1] if len(members) < 2 else []
    groups = {"mine": members, **({"ground": stuff} if stuff else {})}
    ids = {"mine": MINE, **({"ground": GROUND} if stuff else {})}
    labels = write_labels(tmp_path, groups=groups, drop=[engine.labels.name(lost)], ids=ids)
    grouped = Engine(load_model("auto", weights, config, labels), torch.device("cpu"))
    new = dict.fromkeys(members, MINE) | dict.fromkeys(stuff, GROUND)
    assert grouped.labels.things[MINE] == "mine" and lost in all_found.tolist() + things
    assert grouped.labels.stuff == ({GROUND: "ground"} if stuff else {})
    new |= {
        i: next(n for n, name in grouped.labels.things.items() if name == engine.labels.things[i])
        for i in things
        if i not in (*members, lost)
    }
    kept = replace(options, classes=frozenset(new), panoptic_stuff_min_area=0)
    before, after = engine.segment(frame, kept), grouped.segment(frame, options)
    assert_same(before, after, new, options.nms_threshold)
    one = replace(kept, classes=frozenset(members))
    chosen = grouped.segment(frame, replace(options, classes=grouped.labels.ids(["mine"])))
    assert set(chosen.instances.class_ids.tolist()) == {MINE}
    assert_same(engine.segment(frame, one), chosen, new, options.nms_threshold)


def assert_same(before: Segmentation, after: Segmentation, new: dict[int, int], iou: float) -> None:
    """Each object is there under its new class, or overlaps a better one of its group; so is each pixel."""
    old, found = before.instances, after.instances
    assert len(found) > 0 and found.ids.tolist() == list(range(1, len(found) + 1))
    areas, found_areas = mask_areas(old.masks), mask_areas(found.masks)
    overlaps = mask_ious(intersection_areas(old.masks, found.masks), areas, found_areas)
    place = 0
    for i, class_id in enumerate(old.class_ids.tolist()):
        if place < len(found) and np.array_equal(old.boxes_xyxy[i], found.boxes_xyxy[place]):
            same = (found.class_ids[place], found.scores[place]) == (new[class_id], old.scores[i])
            if same and np.array_equal(old.masks[i].pixels, found.masks[place].pixels):
                place += 1
                continue
        rivals = (found.class_ids == MINE) & (overlaps[i] > iou) & (found.scores >= old.scores[i])
        assert new[class_id] == MINE and rivals.any()
    assert place == len(found)
    assert before.panoptic is not None and after.panoptic is not None
    for segment in before.panoptic.segments:
        values = after.panoptic.segment_map[before.panoptic.segment_map == segment.id]
        assert (values == values[0]).all()
        least = [s.class_id for s in after.panoptic.segments if s.id == values[0]]
        assert least == [new[segment.class_id]] or (values[0] == 0 and not segment.is_thing)


def test_names_and_groups_share_a_file(tmp_path: Path) -> None:
    weights, config = thin_torchvision.write_thin_checkpoint(tmp_path, num_classes=5)
    labels = write_labels(
        tmp_path,
        things=["mug", "cup", "can", "box"],
        groups={"drink": ["mug", "cup", 3]},
        ids={"drink": 20, "box": 21},
    )
    model = load_model("auto", weights, config, labels)
    assert model.labels.things == {20: "drink", 21: "box"}
    assert model.labels.groups == {"drink": ("mug", "cup", "can")}


class FloorAndRug:
    """A model that sees 50 pixels of floor (2) and 60 of rug (3), and keeps the options that it was given."""

    labels = LabelSet({0: "cup", 1: "bowl"}, {2: "floor", 3: "rug"})
    default_options = SegmentOptions(score_threshold=0.5)

    def __init__(self) -> None:
        self.given: list[SegmentOptions] = []

    def __call__(self, batch: list[None], options: SegmentOptions) -> list[None]:
        self.given.append(options)
        return batch

    def assemble(self, raw: None, image_size: tuple[int, int], options: SegmentOptions) -> Segmentation:
        self.given.append(options)
        semantic = np.zeros(image_size, np.int32)
        semantic[0, :50], semantic[1, :60] = 2, 3
        panoptic = fuse_panoptic(Instances.empty(), semantic, image_size, self.labels, options)
        return Segmentation(image_size, Instances.empty(), panoptic)


@pytest.mark.parametrize(
    ("rules", "wanted", "given", "areas"),
    [
        (GroupRules({"ground": ["floor", "rug"]}), None, None, [110]),
        (GroupRules({"ground": ["floor", "rug"]}, ["bowl"]), None, {0, 2, 3}, [110]),
        (GroupRules({"dish": ["cup", "bowl"]}), None, None, []),  # each stuff alone is too small
        (GroupRules({"ground": ["floor", "rug"]}), ["ground"], {2, 3}, [110]),
        (GroupRules({"dish": ["cup", "bowl"], "ground": ["floor", "rug"]}), ["dish"], {0, 1}, []),
    ],
)
def test_the_model_is_given_its_own_classes_and_no_least_area_of_stuff_that_is_joined(
    rules: GroupRules, wanted: list[str] | None, given: set[int] | None, areas: list[int]
) -> None:
    inner = FloorAndRug()
    model = GroupedModel[Any, Any](inner, group_classes(rules, inner.labels))  # type: ignore[arg-type]
    classes = None if wanted is None else model.labels.ids(wanted)
    options = replace(model.default_options, classes=classes, panoptic_stuff_min_area=100)
    model([None], options)
    found = model.assemble(None, (40, 80), options)
    assert [each.classes for each in inner.given] == [given, given]
    assert found.panoptic is not None and [s.area for s in found.panoptic.segments] == areas


def test_without_groups_the_model_itself_is_used(tmp_path: Path) -> None:
    weights, config = thin_torchvision.write_thin_checkpoint(tmp_path, num_classes=3)
    assert type(load_model("auto", weights, config)) is RCNNModel
    assert type(load_model("auto", weights, config, write_labels(tmp_path, things=["a", "b"]))) is RCNNModel
    assert type(load_model("auto", weights, config, write_labels(tmp_path, ids={"1": 5}))) is GroupedModel


def test_an_exported_file_of_the_checkpoint_fits(tmp_path: Path) -> None:
    weights, config = thin_torchvision.write_thin_checkpoint(tmp_path, num_classes=3)
    model = load_model("auto", weights, config, write_labels(tmp_path, drop=["2"]))
    fields = {
        "source": "thin.pth",
        "weights": fingerprint(exportable(model).network),
        "camera_size": (90, 120),
    }
    info = ExportInfo("MaskRCNN", **fields, input_size=(128, 192), precision="fp32", machine="")
    check_fits(info, exportable(model))
    with pytest.raises(ValueError, match="of images"):
        check_fits(replace(info, camera_size=(90, 90)), model)


def test_a_predictor_knows_the_groups(tmp_path: Path, thin_checkpoint: tuple[Path, Path]) -> None:
    weights, config = thin_checkpoint
    every = Predictor(config, weights, device="cpu", score_threshold=0.0)(coloured_frame().pixels.copy())
    names = sorted({name for name in every.names if not name.isdecimal()})
    labels = write_labels(tmp_path, groups={"all": names}, drop="*")
    predictor = Predictor(config, weights, labels=labels, device="cpu", score_threshold=0.0, classes=["all"])
    found = predictor(coloured_frame().pixels.copy())
    assert len(found.names) > 1 and set(found.names) == {"all"}
    with pytest.raises(ValueError, match="unknown class cup; this model knows: all"):
        Predictor(config, weights, labels=labels, device="cpu", classes=["cup"])


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (
            {"groups": {"dish": ["cup", "bowll"]}},
            r"labels.yaml: group 'dish': the model has no class 'bowll'",
        ),
        ({"groups": {"dish": []}}, r"labels.yaml: not a labels file \(group 'dish' is empty"),
        (
            {"things": ["a"], "groups": {"dish": ["cup"]}},
            r"labels.yaml: group 'dish': the model has no class",
        ),
    ],
)
def test_a_bad_file_is_refused_in_one_line(
    content: dict[str, Any], words: str, tmp_path: Path, thin_checkpoint: tuple[Path, Path]
) -> None:
    weights, config = thin_checkpoint
    with pytest.raises(LoadError, match=words) as refused:
        load_model("auto", weights, config, write_labels(tmp_path, **content))
    assert "\n" not in str(refused.value)


def test_an_absent_file_is_refused(thin_checkpoint: tuple[Path, Path]) -> None:
    with pytest.raises(FileNotFoundError, match=r"absent\.yaml: no such labels file"):
        load_model("auto", *thin_checkpoint, "absent.yaml")


def test_the_dense_part_is_replaced_and_recorded_inside_the_groups(tmp_path: Path) -> None:
    weights, config = thin_torchvision.write_thin_checkpoint(tmp_path, num_classes=3)
    model = load_model("auto", weights, config, write_labels(tmp_path, drop=["2"]))
    exported = exportable(model).with_dense(abs)
    assert exportable(exported).dense is abs and exportable(model).dense is None
    assert exported.labels == model.labels
    recorded = use_cuda_graphs(model)
    assert isinstance(recorded, GroupedModel) and isinstance(recorded.model, RCNNModel)
    assert isinstance(recorded.model.fixed, CudaGraphs)
    assert drop_cuda_graphs(recorded) == 0  # found, and none recorded yet
