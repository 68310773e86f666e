# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""YOLACT++ multiplies scores by the expected quality of the masks."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from parity import CPU
from photograph import photograph
from thin_yolact import SIZE, Weights, add_heads, load, make_plus, resnet
from torch import Tensor

from seg_node.inference.engine import Engine
from seg_node.models.layers.deformable import DeformableConv2d
from seg_node.models.yolact.detect import YolactPrediction, detect
from seg_node.models.yolact.model import YolactModel
from seg_node.models.yolact.rescore import rescore


@pytest.fixture(scope="module")
def weights() -> Weights:
    weights = Weights(3)
    add_heads(weights, resnet(weights), priors=9)
    make_plus(weights)
    return weights


@pytest.fixture(scope="module")
def model(weights: Weights) -> YolactModel:
    return load(weights, {"max_size": SIZE})


def expected_quality(prediction: YolactPrediction, weights: Weights) -> Tensor:
    """Run the cropped probabilities through the layers, object by object."""
    qualities = []
    for box, coefficients, class_id in zip(
        prediction.boxes_rel, prediction.coefficients, prediction.class_ids, strict=True
    ):
        mask = torch.sigmoid((prediction.prototypes * coefficients).sum(-1))
        height, width = mask.shape
        columns, rows = torch.arange(width), torch.arange(height)[:, None]
        mask[(columns < box[0] * width - 1) | (columns >= box[2] * width + 1).expand_as(mask)] = 0
        mask[(rows < box[1] * height - 1) | (rows >= box[3] * height + 1).expand_as(mask)] = 0
        x = mask[None, None]
        for number, stride in ((0, 2), (2, 2), (4, 1)):
            name = f"maskiou_net.maskiou_net.{number}"
            x = F.relu(F.conv2d(x, weights[f"{name}.weight"], weights[f"{name}.bias"], stride))
        qualities.append(x[0, class_id].max())
    return torch.stack(qualities)


def test_checkpoints_of_plus_are_read_with_their_deformable_convolutions(model: YolactModel) -> None:
    found = [name for name, m in model.network.named_modules() if isinstance(m, DeformableConv2d)]
    assert found == ["backbone.layer4.0.conv2"]
    assert model.network.maskiou_net is not None
    assert model.settings.rescore_masks
    assert {len(sizes) for sizes in model.settings.prior_sizes} == {9}


def test_scores_are_multiplied_and_sorted_again(model: YolactModel, weights: Weights) -> None:
    options, batch = model.default_options, model.prepare([photograph(120, 160)], CPU)
    with torch.inference_mode():
        (raw,) = detect(model.network(batch.pixels), model.network.priors, model.settings, options)
        (found,) = model(batch, options)
        scores = raw.scores * expected_quality(raw, weights)
    order = [i for i in scores.argsort(descending=True, stable=True).tolist() if scores[i] > 0]
    assert len(order) > 20
    np.testing.assert_allclose(found.scores, scores[order], rtol=1e-4)
    assert order != sorted(order)
    by_rank = {round(float(scores[i]), 5): raw.boxes_rel[i] for i in order}
    assert torch.equal(found.boxes_rel[0], by_rank[round(float(found.scores[0]), 5)])


def test_options_act_on_the_new_scores(model: YolactModel) -> None:
    batch = model.prepare([photograph(120, 160)], CPU)
    with torch.inference_mode():
        (everything,) = model(batch, model.default_options)
        (best,) = model(batch, replace(model.default_options, max_instances=3))
        threshold = float(everything.scores[5])
        (good,) = model(batch, replace(model.default_options, score_threshold=threshold))
        (none,) = model(batch, replace(model.default_options, score_threshold=1.0))
    assert torch.equal(best.scores, everything.scores[:3])
    assert torch.equal(good.scores, everything.scores[:5])
    assert len(none.scores) == 0


def test_without_rescoring_scores_stay(weights: Weights) -> None:
    plain = load(weights, {"max_size": SIZE, "rescore_mask": False})
    batch = plain.prepare([photograph(120, 160)], CPU)
    with torch.inference_mode():
        (found,) = plain(batch, plain.default_options)
        (raw,) = detect(
            plain.network(batch.pixels), plain.network.priors, plain.settings, plain.default_options
        )
        assert torch.equal(found.scores, raw.scores)
        empty = replace(
            raw, boxes_rel=raw.boxes_rel[:0], scores=raw.scores[:0], coefficients=raw.coefficients[:0]
        )
        assert plain.network.maskiou_net is not None
        assert len(rescore(empty, plain.network.maskiou_net, plain.default_options).scores) == 0


def test_engine_segments_with_plus(model: YolactModel) -> None:
    found = Engine(model, CPU).segment(photograph(90, 110), model.default_options).instances
    assert len(found) > 5
    assert np.all(np.diff(found.scores) <= 0)
