# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""The dense part of each family follows a GPU's tensors through torch.export, without a GPU.

Tensors on cuda:0 that hold no numbers (FakeTensor): an operator without a CUDA kernel, a tensor left on the
CPU or a shape that depends on numbers fails here as it would in `seg_node export --device cuda`.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import thin_detectron2
import thin_solo
import thin_torchvision
import thin_yolact
import torch
from thin_models import yolact_plus
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from seg_node.export.info import Dense
from seg_node.inference.precision import Precision, apply_precision
from seg_node.models.load import load_model
from seg_node.types import Frame

SIZE = (75, 100)
WRITERS: dict[str, Callable[[Path], tuple[Path, Path]]] = {
    "torchvision": thin_torchvision.write_thin_checkpoint,
    "detectron2": thin_detectron2.write_thin_checkpoint,
    "panoptic_fpn": thin_detectron2.write_thin_panoptic_checkpoint,
    "yolact": thin_yolact.write_thin_checkpoint,
    "solo": lambda folder: thin_solo.write_thin_checkpoint(folder, "solo"),
    "decoupled": lambda folder: thin_solo.write_thin_checkpoint(folder, "decoupled"),
    "solov2": lambda folder: thin_solo.write_thin_checkpoint(folder, "solov2"),
}


@contextmanager
def fake_cuda() -> Iterator[FakeTensorMode]:
    torch._C._ensureCUDADeviceGuardSet()  # a guard that does nothing where there is no driver
    with FakeTensorMode(allow_non_fake_inputs=False) as mode, torch.no_grad():
        yield mode


def move(network: nn.Module, mode: FakeTensorMode) -> None:
    """Replace all tensors of the network by fake ones on cuda:0 with the same memory format."""

    def on_gpu(tensor: Tensor) -> Tensor:
        fake = mode.from_tensor(tensor)
        return torch.empty_strided(fake.shape, fake.stride(), dtype=fake.dtype, device="cuda:0")

    for module in network.modules():
        for name, parameter in list(module._parameters.items()):
            if parameter is not None:
                module._parameters[name] = nn.Parameter(on_gpu(parameter), requires_grad=False)
        for name, buffer in list(module._buffers.items()):
            if buffer is not None:
                module._buffers[name] = on_gpu(buffer)


def load(family: str, folder: Path) -> Any:
    if family == "embedded":
        return load_model()
    return yolact_plus() if family == "yolact++" else load_model("auto", *WRITERS[family](folder))


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("family", ["embedded", "yolact++", *WRITERS])
def test_the_dense_part_can_be_exported_for_cuda(family: str, precision: Precision, tmp_path: Path) -> None:
    model = load(family, tmp_path)
    frame = Frame(np.zeros((*SIZE, 3), np.uint8), "bgr")
    shape = model.prepare([frame], torch.device("cpu")).pixels.shape
    apply_precision(model.network, precision)
    with fake_cuda() as mode:
        move(model.network, mode)
        pixels = torch.empty(shape, device="cuda:0").to(memory_format=torch.channels_last)
        program = torch.export.export(Dense(model.network).eval(), (pixels,))
    tensors = [node.meta["val"] for node in program.graph.nodes if isinstance(node.meta.get("val"), Tensor)]
    assert {str(tensor.device) for tensor in tensors} == {"cuda:0"}
    assert all(type(side) is int for tensor in tensors for side in tensor.shape)
    assert (torch.bfloat16 in {tensor.dtype for tensor in tensors}) == (precision == "bf16")
