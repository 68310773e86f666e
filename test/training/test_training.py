# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""`seg_node train` on a made-up data set of coloured shapes."""

import copy
import json
import os
import signal
import subprocess
import sys
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from exit_status import exit_status
from shapes_dataset import STUFF, THINGS, write_shapes

from seg_node.cli import main
from seg_node.evaluation.ground_truth import read_segment_map
from seg_node.inference.engine import Engine
from seg_node.models.load import load_model
from seg_node.training.classes import own_class_map
from seg_node.training.csv_log import read_rows
from seg_node.training.dataset import DataSet, read_pictures, read_truth
from seg_node.training.examples import Collate, Examples
from seg_node.training.export import export_model, round_weights
from seg_node.training.loop import Training
from seg_node.training.losses import Losses
from seg_node.training.network import model_labels, replace_last_layers, start_model
from seg_node.training.validate import check_measurable
from seg_node.types import Frame

pytest.importorskip("pycocotools")
CLASSES = own_class_map(THINGS.values(), STUFF.values())
SMALL = ["--short-side", "64", "--long-side", "96"]


def arguments(shapes, out, *more):
    data = ["--data", str(shapes.data), "--images", str(shapes.images)]
    return ["train", *data, "--init", "embedded", "--out", str(out), "--workers", "0", *more]


def test_sixty_steps_teach_shapes(tmp_path):
    learnt, unseen = write_shapes(tmp_path / "a", 12), write_shapes(tmp_path / "b", 6, seed=1)
    more = ["--panoptic", str(learnt.panoptic), "--val", str(unseen.data), "--val-images", str(unseen.images)]
    more += ["--val-panoptic", str(unseen.panoptic), "--steps", "60", "--batch", "1", "--lr", "1e-3"]
    more += ["--short-side", "96", "--long-side", "128", "--validations", "1"]
    assert main(arguments(learnt, tmp_path / "out", *more)) == 0

    losses = [row["loss"] for row in read_rows(tmp_path / "out" / "losses.csv")]
    assert min(losses) < 0.6 * losses[0]  # of ten pictures each, some of them harder
    (found,) = read_rows(tmp_path / "out" / "validation.csv")
    assert found["mask_ap"] > 0.5 and found["pq"] > 0.6

    model = load_model("auto", tmp_path / "out" / "model.safetensors")
    assert model.labels.things == {1: "square", 2: "disc"}
    assert model.labels.stuff == {3: "wall", 4: "floor"}
    assert (model.input_spec.min_size, model.input_spec.max_size) == (96, 128)
    picture, true_map = (
        cv2.imread(str(unseen.images / "1.png")),
        read_segment_map(unseen.panoptic_dir / "1.png"),
    )
    options = replace(model.default_options, panoptic_stuff_min_area=100)
    panoptic = Engine(model, torch.device("cpu")).segment(Frame(picture, "bgr"), options).panoptic
    ids = {s.class_id: s.id for s in panoptic.segments}
    assert (panoptic.segment_map[true_map == 1] == ids[3]).mean() > 0.8
    assert (panoptic.segment_map[true_map == 2] == ids[4]).mean() > 0.8


def test_an_interrupted_training_goes_on_as_if_it_had_not_stopped(tmp_path, monkeypatch, one_thread):
    shapes = write_shapes(tmp_path / "a", 4)
    monkeypatch.setattr("seg_node.training.loop.LOG_STEPS", 1)
    more = ["--batch", "1", "--steps", "6", *SMALL]
    assert main(arguments(shapes, tmp_path / "whole", *more)) == 0

    step = Training._step

    def stop_at_four(self, batch, rate):
        if self._state.step == 3:
            os.kill(os.getpid(), signal.SIGINT)
        return step(self, batch, rate)

    monkeypatch.setattr(Training, "_step", stop_at_four)
    assert main(arguments(shapes, tmp_path / "parts", *more)) == 130
    monkeypatch.setattr(Training, "_step", step)
    assert torch.load(tmp_path / "parts" / "last.pt", weights_only=True)["step"] == 4
    assert main(arguments(shapes, tmp_path / "parts", *more)) == 0

    whole, parts = (
        [
            {k: v for k, v in row.items() if k != "seconds"}
            for row in read_rows(tmp_path / name / "losses.csv")
        ]
        for name in ("whole", "parts")
    )
    assert len(whole) == 6 and whole == parts
    files = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("whole", "parts")]
    assert files[0] == files[1]


def test_a_training_that_met_a_damaged_picture_goes_on_where_it_was(tmp_path, monkeypatch, capsys):
    shapes = write_shapes(tmp_path / "a", 1)
    whole = (shapes.images / "1.png").read_bytes()
    step = Training._step

    def damage_after_two(self, batch, rate):
        if self._state.step == 1:
            (shapes.images / "1.png").write_bytes(whole[: len(whole) // 2])
        return step(self, batch, rate)

    monkeypatch.setattr(Training, "_step", damage_after_two)
    more = ["--batch", "1", "--steps", "4", *SMALL]
    assert main(arguments(shapes, tmp_path / "out", *more)) == 1
    assert "1.png: cannot be read as an image" in capsys.readouterr().err
    (shapes.images / "1.png").write_bytes(whole)
    monkeypatch.setattr(Training, "_step", step)
    assert main(arguments(shapes, tmp_path / "out", *more)) == 0
    assert "resuming from step 2" in capsys.readouterr().out


def test_other_classes_in_the_same_folder_are_refused(tmp_path, capsys):
    shapes = write_shapes(tmp_path / "a", 2)
    assert main(arguments(shapes, tmp_path / "out", "--steps", "1", "--batch", "1", *SMALL)) == 0
    (tmp_path / "classes.yaml").write_text("things: [disc]")
    more = ["--steps", "2", "--batch", "1", "--classes", str(tmp_path / "classes.yaml"), *SMALL]
    assert main(arguments(shapes, tmp_path / "out", *more)) == 1
    assert "trained with things" in capsys.readouterr().err


def test_the_exported_file_answers_as_the_network_does(tmp_path):
    torch.manual_seed(0)
    model = start_model("embedded", CLASSES, (96, 128))
    round_weights(model)
    export_model(model, tmp_path / "model.safetensors")
    assert (tmp_path / "model.safetensors").stat().st_size < 30e6
    (tmp_path / "other").touch()
    assert (tmp_path / "model.safetensors").stat().st_mode == (tmp_path / "other").stat().st_mode
    loaded = load_model("auto", tmp_path / "model.safetensors")
    assert loaded.labels == model.labels and loaded.input_spec == model.input_spec
    assert loaded.network.settings == model.network.settings
    assert loaded.default_options == model.default_options
    frame = Frame(np.random.default_rng(0).integers(0, 255, (96, 128, 3), np.uint8), "rgb")
    options = replace(model.default_options, score_threshold=0.0)
    first, second = (Engine(m, torch.device("cpu")).segment(frame, options) for m in (model, loaded))
    assert len(first.instances) > 0
    assert np.array_equal(first.instances.boxes_xyxy, second.instances.boxes_xyxy)
    assert np.array_equal(first.instances.scores, second.instances.scores)
    assert np.array_equal(first.panoptic.segment_map, second.panoptic.segment_map)


def test_rows_of_classes_of_equal_names_are_kept(tmp_path):
    old = load_model("embedded")
    model = start_model("embedded", own_class_map(["mug", "cup"], []), (None, None))
    cup = next(i for i, name in old.labels.things.items() if name == "cup")
    before, after = old.network, model.network
    assert torch.equal(after.box_head.cls_score.weight[[0, 2]], before.box_head.cls_score.weight[[0, cup]])
    assert torch.equal(
        after.box_head.bbox_pred.bias[8:], before.box_head.bbox_pred.bias[4 * cup : 4 * cup + 4]
    )
    assert torch.equal(
        after.mask_head.mask_fcn_logits.weight[2], before.mask_head.mask_fcn_logits.weight[cup]
    )
    assert model.labels.things == {1: "mug", 2: "cup"} and not model.labels.stuff
    assert torch.equal(after.fpn.layer_blocks[0][0].weight, before.fpn.layer_blocks[0][0].weight)


def test_boxes_and_masks_of_a_new_class_begin_as_the_mean_of_the_old_ones():
    old = load_model("embedded").network
    model = start_model("embedded", own_class_map(["mug", "cup"], []), (None, None)).network
    boxes, masks = old.box_head.bbox_pred, old.mask_head.mask_fcn_logits
    for side in range(4):
        expected = torch.stack([boxes.weight[i] for i in range(4 + side, len(boxes.weight), 4)]).mean(0)
        assert torch.allclose(model.box_head.bbox_pred.weight[4 + side], expected)
    assert torch.allclose(model.mask_head.mask_fcn_logits.bias[1], masks.bias[1:].mean())
    without = start_model("embedded", own_class_map([], []), (None, None))
    again = copy.deepcopy(without.network)
    replace_last_layers(again, without.labels, model_labels(own_class_map(["mug"], [])))
    assert again.box_head.bbox_pred.weight[4:].isfinite().all()


@pytest.mark.parametrize("kind", ["empty", "crowd"])
def test_pictures_without_objects_and_with_crowds_alone_give_finite_losses(tmp_path, kind):
    shapes = write_shapes(tmp_path / "a", 2)
    content = json.loads(shapes.data.read_text())
    content["annotations"] = [{**a, "iscrowd": 1} for a in content["annotations"]] if kind == "crowd" else []
    if kind == "crowd":  # and nothing else is known
        content["images"] = [{**image, "exhaustive_categories": []} for image in content["images"]]
    shapes.data.write_text(json.dumps(content))
    pictures = read_pictures(read_truth(DataSet(shapes.data, shapes.images)), CLASSES)
    assert [len(p.crowds) > 0 for p in pictures] == [kind == "crowd"] * 2
    model = start_model("embedded", CLASSES, (64, 96))
    examples = Examples([pictures], [1], 64, 96, 1)
    batch = Collate(model.input_spec)([examples[0], examples[1]])
    losses = Losses(model.network)(batch)
    sum(losses.values()).backward()
    assert all(loss.isfinite() for loss in losses.values())
    assert losses["masks"] == 0 and losses["boxes"] == 0
    assert (losses["objectness"] == 0) == (kind == "crowd")
    gradients = [p.grad for p in model.network.parameters() if p.grad is not None]
    assert gradients and all(gradient.isfinite().all() for gradient in gradients)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (["--steps", "0"], "steps 0 must be more than 0"),
        (["--steps", "1", "--weight", "-1"], "weight of a data set"),
        (["--steps", "1", "--short-side", "16"], "at least 32"),
        (["--steps", "1", "--device", "gpu"], "device 'gpu' is not known"),
    ],
)
def test_numbers_out_of_range_are_refused(tmp_path, capsys, change, problem):
    command = arguments(write_shapes(tmp_path / "a", 1), tmp_path / "out", *change)
    assert exit_status(command) == (2 if "--device" in change else 1)
    assert problem in capsys.readouterr().err


@pytest.mark.parametrize("workers", ["0", "1"])
def test_a_truncated_picture_ends_the_training_in_one_line_with_its_name(tmp_path, workers):
    shapes = write_shapes(tmp_path / "a", 1)
    _, code = cv2.imencode(".jpg", cv2.imread(str(shapes.images / "1.png")))
    (shapes.images / "1.png").write_bytes(code.tobytes()[: len(code) // 2])
    more = ["--steps", "1", "--batch", "2", *SMALL, "--workers", workers]
    # in a process of its own: forking the workers of one that has trained before can hang
    command = [sys.executable, "-m", "seg_node.cli", *arguments(shapes, tmp_path / "out", *more)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert ended.returncode == 1
    (told,) = [line for line in ended.stderr.splitlines() if line.strip() and "step/s" not in line]
    assert f"{shapes.images / '1.png'}: cannot be read as an image" in told and "truncated" in told


@pytest.mark.parametrize("change", ["folder", "prefix", "none"])
def test_missing_pictures_are_reported_in_one_line(tmp_path, capsys, monkeypatch, change):
    monkeypatch.setattr("seg_node.training.train.start_model", lambda *_: pytest.fail("a model was loaded"))
    shapes = write_shapes(tmp_path / "a", 5)
    content = json.loads(shapes.data.read_text())
    if change == "folder":
        shapes = replace(shapes, images=tmp_path)
    elif change == "prefix":
        content["images"] = [{**i, "file_name": f"images/{i['file_name']}"} for i in content["images"]]
    else:
        content["images"], content["annotations"] = [], []
    shapes.data.write_text(json.dumps(content))
    assert main(arguments(shapes, tmp_path / "out", "--steps", "1")) == 1
    (told,) = capsys.readouterr().err.splitlines()
    assert {
        "folder": f"none of the 5 images is in {tmp_path}: 1.png, 2.png, 3.png, …; is it the folder",
        "prefix": f"images/3.png, …; the names begin with images already: name the folder above, {tmp_path}/",
        "none": f"{shapes.data}: lists no image",
    }[change] in told


def test_a_validation_set_of_other_classes_is_refused_before_the_model_is_loaded(
    tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr("seg_node.training.train.start_model", lambda *_: pytest.fail("a model was loaded"))
    shapes, other = write_shapes(tmp_path / "a", 1), write_shapes(tmp_path / "b", 1)
    content = json.loads(other.data.read_text())
    content["categories"] = [{"id": 1, "name": "box"}, {"id": 2, "name": "ball"}]
    other.data.write_text(json.dumps(content))
    more = ["--val", str(other.data), "--val-images", str(other.images), "--steps", "1"]
    assert main(arguments(shapes, tmp_path / "out", *more)) == 1
    told = capsys.readouterr().err
    assert f"{other.data}: none of its classes is learnt" in told
    assert "its classes: box, ball; learnt: square, disc; rename them" in told


def test_classes_of_a_validation_set_that_are_not_measured_are_said(tmp_path, capsys):
    other = write_shapes(tmp_path / "b", 1)
    content = json.loads(other.data.read_text())
    content["categories"] = [{"id": 1, "name": "box"}, {"id": 2, "name": "DISC"}]
    other.data.write_text(json.dumps(content))
    truth = read_truth(DataSet(other.data, other.images))
    check_measurable(truth, CLASSES)
    assert f"{other.data}: not measured, as not learnt: box" in capsys.readouterr().err
    check_measurable(read_truth(DataSet(other.data, other.images, other.panoptic)), CLASSES)


def test_notes_about_a_data_set_are_printed_once(tmp_path, capsys):
    shapes = write_shapes(tmp_path / "a", 1)
    content = json.loads(shapes.data.read_text())
    content["annotations"] = [{**a, "iscrowd": None} for a in content["annotations"]]
    shapes.data.write_text(json.dumps(content))
    more = ["--val", str(shapes.data), "--val-images", str(shapes.images), "--steps", "1", "--batch", "1"]
    assert main(arguments(shapes, tmp_path / "out", *more, *SMALL)) == 0
    lines = [line for line in capsys.readouterr().err.splitlines() if "iscrowd null is read as 0" in line]
    assert len(lines) == 2  # of the data and of the validation set


@pytest.mark.parametrize(
    ("things", "stuff", "problem"), [(5001, 0, "5001 classes of things"), (1, 255, "255 classes of stuff")]
)
def test_more_classes_than_can_be_learnt_are_refused(tmp_path, capsys, monkeypatch, things, stuff, problem):
    monkeypatch.setattr("seg_node.training.train.start_model", lambda *_: pytest.fail("a model was loaded"))
    names = {"things": [f"t{i}" for i in range(things)], "stuff": [f"s{i}" for i in range(stuff)]}
    (tmp_path / "classes.yaml").write_text(json.dumps(names))
    more = ["--classes", str(tmp_path / "classes.yaml"), "--steps", "1"]
    assert main(arguments(write_shapes(tmp_path / "a", 1), tmp_path / "out", *more)) == 1
    assert f"{problem} are too many to learn" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["a\nb", "\x1b[2J", "x" * 201])
def test_a_name_that_no_model_can_have_is_refused_before_it_is_learnt(tmp_path, capsys, monkeypatch, name):
    monkeypatch.setattr("seg_node.training.train.start_model", lambda *_: pytest.fail("a model was loaded"))
    shapes = write_shapes(tmp_path / "a", 1)
    content = json.loads(shapes.data.read_text())
    content["categories"][1]["name"] = name
    shapes.data.write_text(json.dumps(content))
    assert main(arguments(shapes, tmp_path / "out", "--steps", "1")) == 1
    told = capsys.readouterr().err
    assert "the name of class 2 is" in told and "rename it, or use --classes" in told


def test_a_part_of_no_data_set_is_refused(tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["train", "--images", "x", "--data", "y", "--init", "embedded", "--out", "z", "--steps", "1"])
    assert "--images belongs to a data set" in capsys.readouterr().err


def test_data_without_its_images_are_refused(tmp_path, capsys):
    assert main(["train", "--data", "y", "--init", "embedded", "--out", "z", "--steps", "1"]) == 1
    assert "y: has no folder of images; add --images DIR" in capsys.readouterr().err
