# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Run an ONNX file as a function of tensors through ONNX Runtime: on the CPU, CUDA or TensorRT."""

import hashlib
import importlib
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from seg_node.models.files.published import cache_folder

logger = logging.getLogger(__name__)

_TENSORRT, _CUDA = "TensorrtExecutionProvider", "CUDAExecutionProvider"
_CPU = "CPUExecutionProvider"
# ONNX's names for the types of inputs and outputs
_TYPES = {"tensor(float)": (torch.float32, np.float32), "tensor(float16)": (torch.float16, np.float16)}


class OnnxRunner:
    """An ONNX file with one input; outputs are tensors on the input's device."""

    def __init__(self, path: Path, data: bytes, device: torch.device, precision: str) -> None:
        """Open the file.

        data: its content, after a check of `models.onnx.check`. path: for messages. precision: with fp16
        TensorRT may compute in float16.

        Raises ValueError for a file that ONNX Runtime refuses, RuntimeError when ONNX Runtime is missing or
        cannot use the device.
        """
        self._session = _open(data, _providers(data, device, precision))
        self._device = device
        self.provider: str = self._session.get_providers()[0]
        if device.type == "cuda" and self.provider == _CPU:
            raise RuntimeError(
                f"{path}: ONNX Runtime could not start CUDA (its messages above say why); "
                "mend it, or choose device cpu"
            )

    def __call__(self, pixels: Tensor, shapes: Sequence[Sequence[int]] | None = None) -> tuple[Tensor, ...]:
        """Run the network on pixels, float32 (1, 3, H, W).

        shapes: those of the outputs, for a file whose shapes depend on the input's; None: the file's own.
        """
        (image,) = self._session.get_inputs()
        dtype, numpy_type = _TYPES[image.type]
        pixels = pixels.to(dtype).contiguous()
        binding = self._session.io_binding()
        binding.bind_input(image.name, *self._place(pixels, numpy_type))
        outputs = []
        for place, output in enumerate(self._session.get_outputs()):
            dtype, numpy_type = _TYPES[output.type]
            shape = output.shape if shapes is None else shapes[place]
            outputs.append(torch.empty(shape, dtype=dtype, device=self._device))
            binding.bind_output(output.name, *self._place(outputs[-1], numpy_type))
        if self._device.type == "cuda":  # ONNX Runtime works in a stream of its own
            torch.cuda.current_stream(self._device).synchronize()
        self._session.run_with_iobinding(binding)
        binding.synchronize_outputs()
        return tuple(outputs)

    def try_out(self, input_size: tuple[int, int], shapes: Sequence[Sequence[int]] | None = None) -> None:
        """Run once on zeros of (height, width). Raises ValueError when its layers do not fit together."""
        try:
            self(torch.zeros(1, 3, *input_size, device=self._device), shapes)
        except Exception as error:  # its exceptions have no common class
            raise ValueError(f"ONNX Runtime cannot run it ({str(error).splitlines()[0][:300]})") from error

    def _place(self, tensor: Tensor, numpy_type: type) -> tuple[Any, ...]:
        """Describe where a tensor lies, in the arguments that ONNX Runtime expects."""
        index = self._device.index or 0
        return self._device.type, index, numpy_type, tuple(tensor.shape), tensor.data_ptr()


def _open(data: bytes, providers: list[Any]) -> Any:
    runtime = _onnxruntime()
    options = runtime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    # spinning threads would take the cores from torch's, which work next
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    try:
        return runtime.InferenceSession(data, options, providers=providers)
    except Exception as error:  # its exceptions have no common class
        raise ValueError(f"ONNX Runtime cannot open it ({str(error).splitlines()[0][:300]})") from error


def _onnxruntime() -> Any:
    try:
        return importlib.import_module("onnxruntime")
    except ImportError as error:
        raise RuntimeError(
            "an .onnx file needs ONNX Runtime: pip install onnxruntime (onnxruntime-gpu for an NVIDIA GPU)"
        ) from error


def has_cuda() -> bool:
    """Return whether ONNX Runtime is built for CUDA or TensorRT. Raises RuntimeError when it is missing."""
    return bool({_TENSORRT, _CUDA} & set(_onnxruntime().get_available_providers()))


def _providers(data: bytes, device: torch.device, precision: str) -> list[Any]:
    """Return the execution providers for the device, the preferred one first."""
    if device.type == "cpu":
        return [_CPU]
    runtime = _onnxruntime()
    available = runtime.get_available_providers()
    if not has_cuda():
        raise RuntimeError(
            f"this ONNX Runtime has no CUDA ({', '.join(available)}): pip install onnxruntime-gpu, "
            "or choose device cpu"
        )
    index = device.index or 0
    # TF32, on by default in both providers, has 10 of float32's 23 bits
    settings: dict[str, dict[str, Any]] = {_CUDA: {"device_id": index, "use_tf32": "0"}}
    if _TENSORRT in available:
        os.environ["NVIDIA_TF32_OVERRIDE"] = "0"  # its provider has no option for it
        cache = _engine_folder(data, device, runtime.__version__)
        cache.mkdir(parents=True, exist_ok=True)
        logger.info("TensorRT: its engine is built now, which may take minutes, or read from %s", cache)
        tensorrt = {
            "device_id": index,
            "trt_fp16_enable": precision == "fp16",
            "trt_engine_cache_enable": True,  # building takes minutes
            "trt_engine_cache_path": str(cache),
        }
        settings = {_TENSORRT: tensorrt, **settings}
    return [*((name, values) for name, values in settings.items() if name in available), _CPU]


def _engine_folder(data: bytes, device: torch.device, version: str) -> Path:
    """Return the folder of TensorRT's engine of this file, for this GPU and ONNX Runtime.

    ONNX Runtime names engines after the graph and its shapes, not its weights: in a shared folder, a
    file of other weights would run an earlier one's engine.
    """
    digest = hashlib.sha256(data)
    digest.update(f"{torch.cuda.get_device_name(device)} {version} no TF32".encode())
    return cache_folder() / "tensorrt" / digest.hexdigest()[:32]
