# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Run a model on a device: frames in, segmentations and the time of each step out."""

import contextlib
import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import torch

from seg_node.errors import Refused
from seg_node.inference.cuda_graph import drop_cuda_graphs, use_cuda_graphs
from seg_node.inference.device_errors import watch_device
from seg_node.inference.fused_convolution import fuse_activations
from seg_node.inference.precision import apply_precision, choose_precision, full_float32, own_precision
from seg_node.models.model import PromptedModel, SegmentationModel
from seg_node.prompts import with_prompts
from seg_node.types import Frame, LabelSet, Segmentation, SegmentOptions

logger = logging.getLogger(__name__)

_MOST_HALVINGS = 8  # of the score threshold in the warm-up: down to 0.002


class OutOfMemory(Refused, RuntimeError):
    """The device has too little memory for one frame, even after its caches were freed."""

    def __init__(self, text: str) -> None:
        super().__init__("out_of_memory", text)


def choose_device(name: str) -> torch.device:
    """Return the device of that name: "cpu", "cuda", "cuda:N", or "auto" (the first GPU, else the CPU).

    Raises ValueError for another name, RuntimeError for a GPU that is not present.
    """
    if name == "auto":
        return torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
    if name == "cpu":
        return torch.device("cpu")
    kind, _, number = name.partition(":")
    if kind != "cuda" or (":" in name and not number.isdecimal()):
        raise ValueError(f"device {name!r} is not known; use auto, cpu, cuda or cuda:N")
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if int(number or 0) >= count:
        raise RuntimeError(
            f"device {name}: PyTorch {torch.__version__} finds {count} usable CUDA GPUs; check nvidia-smi "
            "and that this PyTorch was built for CUDA, or choose cpu or auto"
        )
    return torch.device("cuda", int(number or 0))


class Engine:
    """One model on one device. Calls from several threads run one after the other.

    precision: what its network computes in.
    """

    def __init__(
        self, model: SegmentationModel[Any, Any], device: torch.device, precision: str = "exact"
    ) -> None:
        """Take ownership of the model and convert its network in place, see `choose_precision`."""
        self._model = model
        self._device = device
        self._turn = threading.Lock()
        self._most_frames = 1 << 30  # a call; halved whenever the memory does not suffice
        self.precision = choose_precision(own_precision(model.network, precision), device)
        model.network.to(device)
        apply_precision(model.network, self.precision)
        if self.precision != "exact":
            fuse_activations(model.network)
            if self.on_gpu:
                self._model = use_cuda_graphs(model)

    @property
    def labels(self) -> LabelSet:
        return self._model.labels

    @property
    def default_options(self) -> SegmentOptions:
        return self._model.default_options

    def prompted(self, options: SegmentOptions, prompts: Sequence[str]) -> SegmentOptions:
        """Return the options with prompts. Raises ValueError for those that the model cannot use."""
        wanted = with_prompts(options, prompts)
        if isinstance(self._model, PromptedModel):
            self._model.check_prompts(prompts)
        return wanted

    @property
    def model(self) -> SegmentationModel[Any, Any]:
        """The model, its network as converted for the device and the precision."""
        return self._model

    @property
    def on_gpu(self) -> bool:
        return self._device.type == "cuda"

    @property
    def device_name(self) -> str:
        """The device for logs and reports: "cpu" or "cuda:0 (NVIDIA H100)"."""
        if self.on_gpu:
            return f"{self._device} ({torch.cuda.get_device_name(self._device)})"
        return str(self._device)

    def warm_up(
        self, image_size: tuple[int, int], options: SegmentOptions | None = None, batch: int = 1
    ) -> None:
        """Run made-up images of the size, so that the first camera frame is not slower than the rest.

        options, batch: those of the frames to come, since CUDA graphs are recorded for them; options None:
        `default_options`. On a GPU the score threshold is lowered until objects are found, so that the
        kernels for masks are compiled too. Raises OutOfMemory when an image does not fit.
        """
        options = options or self.default_options
        frame = _made_up_frame(image_size)
        self.segment_batch([frame] * batch, options)
        with contextlib.suppress(OutOfMemory):  # real frames may never have that many objects
            for _ in range(_MOST_HALVINGS if self.on_gpu else 0):
                if len(self.segment(frame, options).instances):
                    return
                options = replace(options, score_threshold=options.score_threshold / 2)

    def segment(self, frame: Frame, options: SegmentOptions) -> Segmentation:
        """Segment one frame; see `segment_batch`."""
        (segmentation,) = self.segment_batch([frame], options)
        return segmentation

    def segment_batch(self, frames: Sequence[Frame], options: SegmentOptions) -> list[Segmentation]:
        """Segment the frames as one batch.

        frames: of one size; smaller ones would be padded to the largest, which changes results a little.
        `stage_ms` of each holds prepare and infer of the whole batch, and its own assemble.
        A batch that does not fit into the device's memory is split in halves; `stage_ms` is then a half's.
        Raises OutOfMemory when one frame does not fit, even with graphs and caches freed; DeviceLost when
        this process can no longer use the device.
        """
        with self._turn, watch_device(self._device):
            found: list[Segmentation] = []
            while len(found) < len(frames):
                part = frames[len(found) : len(found) + self._most_frames]
                try:
                    found += self._segment_freeing(part, options)
                except torch.cuda.OutOfMemoryError as error:
                    if len(part) == 1:
                        raise OutOfMemory(_too_large(self._device, frames[0].image_size)) from error
                    self._most_frames = len(part) // 2
                    logger.warning(
                        "%s has too little memory for %d frames at once: from now on %d at a time",
                        self._device,
                        len(part),
                        self._most_frames,
                    )
            return found

    def _segment_freeing(self, frames: Sequence[Frame], options: SegmentOptions) -> list[Segmentation]:
        """Segment; when memory runs out, free the recorded graphs and PyTorch's cache and retry once."""
        try:
            return self._segment(frames, options)
        except torch.cuda.OutOfMemoryError:
            logger.warning("%s is out of memory: graphs and caches are freed for one more try", self._device)
        # outside of `except`: the exception holds the first try's tensors
        drop_cuda_graphs(self._model)
        torch.cuda.empty_cache()
        return self._segment(frames, options)

    def close(self) -> None:
        """Free the device's memory after the current call. The engine cannot be used afterwards."""
        with self._turn:
            drop_cuda_graphs(self._model)
            del self._model
        if self.on_gpu:
            torch.cuda.empty_cache()

    def _segment(self, frames: Sequence[Frame], options: SegmentOptions) -> list[Segmentation]:
        # graphs and Triton's kernels go to the thread's current device
        device = torch.cuda.device(self._device) if self.on_gpu else contextlib.nullcontext()
        with torch.inference_mode(), full_float32(), device:
            return self._run(frames, options)

    def _run(self, frames: Sequence[Frame], options: SegmentOptions) -> list[Segmentation]:
        half = self.precision in ("bf16", "fp16")
        watch = _Stopwatch(self._device)
        batch = self._model.prepare(frames, self._device, exact=not half)
        watch.mark()
        raws = self._model(batch, options)
        watch.mark()
        prepare_ms, infer_ms = watch.milliseconds()
        segmentations = []
        done = time.perf_counter()
        for raw, frame in zip(raws, frames, strict=True):
            segmentation = self._model.assemble(raw, frame.image_size, options)
            began, done = done, time.perf_counter()
            stage_ms = {"prepare": prepare_ms, "infer": infer_ms, "assemble": (done - began) * 1e3}
            segmentations.append(replace(segmentation, stage_ms=stage_ms))
        return segmentations


def _made_up_frame(image_size: tuple[int, int]) -> Frame:
    """Return blocks of random colours, in which most networks find objects."""
    height, width = image_size
    blocks = np.random.default_rng(0).integers(0, 256, (-(-height // 16), -(-width // 16), 3), np.uint8)
    return Frame(np.ascontiguousarray(blocks.repeat(16, 0).repeat(16, 1)[:height, :width]), "bgr")


def _too_large(device: torch.device, image_size: tuple[int, int]) -> str:
    height, width = image_size
    return (
        f"{device} has too little memory for a frame of {width}x{height}; "
        "end other programs that use it, or choose a smaller model"
    )


class _Stopwatch:
    """Time steps on a device; on a GPU by CUDA events, so that no step waits for the one before."""

    def __init__(self, device: torch.device) -> None:
        self._stream = torch.cuda.current_stream(device) if device.type == "cuda" else None
        self._marks: list[Any] = []
        self.mark()

    def mark(self) -> None:
        if self._stream is None:
            self._marks.append(time.perf_counter())
            return
        self._marks.append(torch.cuda.Event(enable_timing=True))
        self._marks[-1].record(self._stream)

    def milliseconds(self) -> list[float]:
        """Wait for the work before the last mark; return the times between the marks."""
        if self._stream is None:
            return [(end - start) * 1e3 for start, end in pairwise(self._marks)]
        self._marks[-1].synchronize()
        return [start.elapsed_time(end) for start, end in pairwise(self._marks)]
