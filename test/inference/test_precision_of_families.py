# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""YOLACT, SOLO and transformers in fast precisions, compared with their exact results."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from parity import CPU, full
from photograph import photograph
from thin_models import MODELS, Model, partners
from thin_yolact import SIZE
from torch import nn
from torch.utils._pytree import tree_leaves

from seg_node.inference.engine import Engine
from seg_node.inference.precision import Precision, apply_precision
from seg_node.types import Frame, Instances


def find(model: Model, precision: Precision, frame: Frame) -> Instances:
    apply_precision(model.network, precision)
    options = replace(model.default_options, max_instances=20)
    return Engine(model, CPU).segment(frame, options).instances


@pytest.mark.parametrize("name", MODELS)
def test_fp32_finds_the_same_but_for_rounding(name: str) -> None:
    frame = photograph(120, 170)
    expected, ours = find(MODELS[name](), "exact", frame), find(MODELS[name](), "fp32", frame)
    assert ours.class_ids.tolist() == expected.class_ids.tolist()
    assert len(ours) == 20
    np.testing.assert_allclose(ours.scores, expected.scores, rtol=0, atol=2e-4)
    for mask, theirs in zip(ours.masks, expected.masks, strict=True):
        assert np.count_nonzero(full(mask, frame.image_size) != full(theirs, frame.image_size)) <= 4


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
@pytest.mark.parametrize("name", MODELS)
def test_half_precision_finds_nearly_the_same_objects(name: str, precision: Precision) -> None:
    frame = photograph(120, 170)
    expected, ours = find(MODELS[name](), "exact", frame), find(MODELS[name](), precision, frame)
    pairs = np.array(partners(ours, expected, frame.image_size))
    good = pairs[pairs[:, 0] > 0.9]
    assert len(good) >= 17  # of 20: the last ones give way to others with nearly their scores
    assert np.median(good[:, 0]) > (0.97 if precision == "bf16" else 0.99)
    assert good[:, 1].max() < (0.05 if precision == "bf16" else 0.01)


@pytest.mark.parametrize("name", MODELS)
def test_what_leaves_the_dense_part_in_half_precision_is_float32_where_it_is_measured(name: str) -> None:
    network = MODELS[name]().network
    apply_precision(network, "bf16")
    with torch.inference_mode():
        side = {"yolact": SIZE, "yolact_plus": SIZE, "yolact_darknet": 102}.get(name, 128)
        outputs = tree_leaves(network(torch.rand(2, 3, side, side)))
    # the mask features of SOLO and SOLOv2 stay as they are: they are the largest
    halves = {"solo": 5, "solov2": 1}.get(name, 0)
    types = [output.dtype for output in outputs]
    assert types == [torch.float32] * (len(types) - halves) + [torch.bfloat16] * halves


def test_transformers_with_layers_in_half_precision_answer_much_the_same(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    from thin_transformers import KINDS, LABELS, NAMES, RGB, write_transformers_folder

    from seg_node.models.transformers.folder import load_transformers

    for kind in KINDS:
        folder = write_transformers_folder(tmp_path / kind, kind, NAMES)
        answers = []
        for precision in ("exact", "fp32", "bf16"):
            model = load_transformers(folder, LABELS)
            assert isinstance(model.network, nn.Module)
            apply_precision(model.network, precision)
            options = replace(model.default_options, score_threshold=0.0)
            (answer,) = model(model.prepare([Frame(RGB, "rgb")], CPU), options)
            assert answer.class_logits.dtype == answer.mask_logits.dtype == torch.float32
            answers.append((answer.class_logits.softmax(-1), answer.mask_logits.sigmoid()))
        exact, fp32, bf16 = answers
        for theirs, same, close in zip(exact, fp32, bf16, strict=True):
            torch.testing.assert_close(same, theirs, rtol=0, atol=2e-4)
            assert (close - theirs).abs().mean() < 0.05, kind
