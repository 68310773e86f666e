"""CUDA graphs: where they cannot be, the network works without, and says so; where they can, alike."""

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from seg_node.cuda_graph import CudaGraphs, use_cuda_graphs
from seg_node.engine import Engine
from seg_node.models.load import load_model
from seg_node.types import Frame

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_without_a_gpu_the_function_itself_runs_and_one_warning_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def double(pixels: Tensor, plus: int) -> Tensor:
        return pixels * 2 + plus

    graphs = CudaGraphs(double)
    with caplog.at_level(logging.WARNING):
        assert graphs(torch.ones(3), 5).tolist() == [7, 7, 7]
        assert graphs(torch.ones(2), 1).tolist() == [3, 3]
    assert [record.message for record in caplog.records if "without CUDA graphs" in record.message] == [
        caplog.records[0].message
    ]


def test_mask_rcnn_is_recorded_whole_and_an_exported_network_not(thin_checkpoint: tuple[Path, Path]) -> None:
    network = load_model("auto", *thin_checkpoint).network
    use_cuda_graphs(network)
    assert isinstance(network.fixed, CudaGraphs) and network.fixed_shapes
    exported = load_model("auto", *thin_checkpoint).network
    exported.dense = lambda pixels, panoptic=True: ()  # type: ignore[assignment]
    use_cuda_graphs(exported)
    assert not isinstance(exported.fixed, CudaGraphs) and not exported.fixed_shapes


@needs_gpu
@pytest.mark.gpu
@pytest.mark.parametrize("size", [(150, 200), (200, 150)])
def test_a_graph_answers_new_images_as_the_plain_way_does(
    thin_checkpoint: tuple[Path, Path], size: tuple[int, int], caplog: pytest.LogCaptureFixture
) -> None:
    device = torch.device("cuda:0")
    graphed = Engine(load_model("auto", *thin_checkpoint), device, "fp32")
    plain_model = load_model("auto", *thin_checkpoint)
    plain = Engine(plain_model, device, "fp32")
    del plain_model.network.fixed  # the recording one: the class's own is there again
    plain_model.network.fixed_shapes = False  # type: ignore[assignment]
    random = np.random.default_rng(0)
    for max_instances in (100, 100, 5):
        frame = Frame(random.integers(0, 256, (*size, 3), np.uint8), "bgr")
        options = replace(plain.default_options, max_instances=max_instances)
        found, expected = (engine.segment(frame, options).instances for engine in (graphed, plain))
        assert len(expected) > 0
        np.testing.assert_allclose(found.scores, expected.scores, atol=2e-4)
        np.testing.assert_allclose(found.boxes_xyxy, expected.boxes_xyxy, atol=1e-2)
    assert "without CUDA graphs" not in caplog.text
