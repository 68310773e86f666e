# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Prefixes of training frameworks are removed from tensor names, logged, and never guessed."""

import logging
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
import thin_detectron2
import torch
from torch import Tensor

from seg_node.models.files.load_error import LoadError
from seg_node.models.load import load_model

SHAPES = thin_detectron2.maskrcnn_shapes(things=3)


@pytest.fixture(scope="module")
def tensors() -> dict[str, Tensor]:
    return thin_detectron2.lively_tensors(SHAPES)


def under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {prefix + name: tensor for name, tensor in tensors.items()}


def load(content: Any, folder: Path) -> Any:
    torch.save(content, folder / "w.pth")
    return load_model("auto", folder / "w.pth")


@pytest.mark.parametrize(
    ("wrap", "said"),
    [
        (lambda t: {"state_dict": under("model.", t), "epoch": 3, "callbacks": {}}, "prefix model. of"),
        (lambda t: {"state_dict": {**under("net.", t), "loss.weight": torch.ones(2)}}, "1 tensors without"),
        (lambda t: under("_orig_mod.", t), "torch.compile"),
        (lambda t: under("module._orig_mod.", t), "torch.compile"),
        (lambda t: under("_orig_mod.module.", t), "torch.compile"),
        (lambda t: {n.replace("backbone.", "backbone._orig_mod."): v for n, v in t.items()}, "torch.compile"),
        (lambda t: under("_fsdp_wrapped_module.", t), "torch.compile"),
        (lambda t: under("a.b.c.", t), "prefix a.b.c. of"),
        (lambda t: {"n_averaged": torch.tensor(5), **under("module.", t)}, ""),
        (lambda t: {"epoch": 3, "model_state": t}, "tensors under model_state"),
        (lambda t: {"step": torch.tensor(3), "state": {"net": t}, "optimizer": {"state": {0: {"a.b": t}}}},
         "tensors under state/net"),
        (lambda t: {"model": {"state_dict": t, "epoch": 1}}, ""),
        (lambda t: {"model": t, "out_dir": Path("/tmp"), "hparams": defaultdict(list)}, ""),
        (lambda t: {"model": t, "model_ema": t}, ""),
    ],
)  # fmt: skip
def test_the_network_is_found_and_the_removal_is_logged(
    wrap: Any, said: str, tensors: dict[str, Tensor], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        model = load(wrap(tensors), tmp_path)
    expected = tensors["roi_heads.mask_head.predictor.weight"]
    assert model.network.mask_head.mask_fcn_logits.weight.equal(expected)
    assert said in caplog.text


@pytest.mark.parametrize(
    ("wrap", "message"),
    [
        (lambda t: {"model": {**under("modelTeacher.", t), **under("modelStudent.", t)}},
         r"several networks, named modelTeacher\.…, modelStudent\.…; .*k\[13:\]"),
        (lambda t: {"net": t, "ema": {"module": t}}, r"several networks \(net, ema/module\); .*\['net'\]"),
        (lambda t: {**t, **under("module.", t)}, r"differ by module\. or _orig_mod\. alone"),
        (lambda t: {"epoch": 3, "config": {"a": {}}}, "is not a tensor"),
        (lambda t: under("a.b.c.d.e.", t), "of no known family"),
        (lambda t: {f"layer{i}.x.weight": torch.ones(1) for i in range(100)}, "of no known family"),
        (lambda t: {"w": torch.ones(1)}, r"the tensors \(w, …\) are of no known family"),
    ],
)  # fmt: skip
def test_a_choice_is_named_and_not_made(
    wrap: Any, message: str, tensors: dict[str, Tensor], tmp_path: Path
) -> None:
    with pytest.raises(LoadError, match=rf"w\.pth: .*{message}"):
        load(wrap(tensors), tmp_path)
