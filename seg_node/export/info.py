# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""The description inside an exported file: its model, image size and machine."""

import hashlib
import json
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from seg_node import __version__
from seg_node.choices import Precision
from seg_node.inference.processor import cpu_flags, cpu_name
from seg_node.models.model import DenseModel, SegmentationModel

METADATA_KEY = "seg_node"
# the place that PyTorch's package format leaves to others
_PACKAGE_MEMBER = "extra/seg_node.json"
_LARGEST_SIDE = 8192  # pixels
_LONGEST_INFO = 65536  # bytes of a description
_LONGEST_TIME = 10_000_000  # milliseconds


@dataclass(frozen=True)
class ExportInfo:
    """Description of an exported file.

    network: its class. source: the weights file, for messages. weights: their `fingerprint`.

    camera_size, input_size: (height, width) of the camera's image, and of the network's input made from it.
    machine: which one its machine code is for, see `describe_machine`; "" for ONNX, which has none.
    torch, seg_node: versions that wrote it.
    timed_on: the processor, see `describe_machine`, on which the dense part took exported_ms with the file
    and torch_ms with PyTorch, in milliseconds; "" and 0 in files of versions that did not record them.
    """

    network: str
    source: str
    weights: str
    camera_size: tuple[int, int]
    input_size: tuple[int, int]
    precision: Precision
    machine: str
    torch: str = torch.__version__
    seg_node: str = __version__
    timed_on: str = ""
    exported_ms: float = 0.0
    torch_ms: float = 0.0

    @property
    def is_slower(self) -> bool:
        """Whether PyTorch was faster than the file on the machine where both were timed."""
        return self.exported_ms > self.torch_ms

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @staticmethod
    def from_json(text: str) -> "ExportInfo":
        """Parse the description. Raises ValueError for any other text."""
        try:
            fields = json.loads(text)
            sizes = {name: _read_size(fields[name]) for name in ("camera_size", "input_size")}
            times = {name: _read_time(fields.get(name, 0.0)) for name in ("exported_ms", "torch_ms")}
            info = ExportInfo(**{**fields, **sizes, **times})
            texts = {name: value for name, value in asdict(info).items() if name not in {*sizes, *times}}
            if not all(isinstance(value, str) for value in texts.values()):
                raise ValueError("its fields are not texts")
            return info
        except (KeyError, TypeError, ValueError, RecursionError) as error:
            raise ValueError(f"written by another version of seg_node ({error}); export it again") from error


def _read_size(value: Any) -> tuple[int, int]:
    height, width = value
    if not all(type(side) is int and 0 < side <= _LARGEST_SIDE for side in (height, width)):
        raise ValueError(f"a size that is not from 1 to {_LARGEST_SIDE}")
    return height, width


def _read_time(value: Any) -> float:
    if type(value) not in (int, float) or not 0 <= value < _LONGEST_TIME:
        raise ValueError(f"a time that is not from 0 to {_LONGEST_TIME} ms")
    return float(value)


def write_package_info(path: Path, info: ExportInfo) -> None:
    """Add the description to a PyTorch package (.pt2)."""
    with zipfile.ZipFile(path, "a") as package:
        root = package.namelist()[0].partition("/")[0]
        package.writestr(f"{root}/{_PACKAGE_MEMBER}", info.to_json())


def read_package_info(path: Path) -> ExportInfo:
    """Read a package's description; nothing is executed. Raises ValueError when it has none."""
    try:
        with zipfile.ZipFile(path) as package:
            (member,) = [entry for entry in package.infolist() if entry.filename.endswith(_PACKAGE_MEMBER)]
            if member.file_size > _LONGEST_INFO:
                raise ValueError(f"its description has {member.file_size} bytes")
            text = package.read(member).decode()
    except Exception as error:  # a damaged archive can make zipfile raise anything
        raise ValueError("not a package that seg_node export wrote") from error
    return ExportInfo.from_json(text)


def fingerprint(network: nn.Module) -> str:
    """Hash the network's tensors, their names, and the norms' small constants: SHA-256, hexadecimal."""
    digest = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().data)
    for name, module in sorted(network.named_modules()):
        if hasattr(module, "eps"):
            digest.update(f"{name} {module.eps}".encode())
    return digest.hexdigest()


def describe_machine(device: torch.device) -> str:
    """Name the processor that code is compiled for, with a digest of a CPU's instruction sets."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    digest = hashlib.sha256(cpu_flags().encode()).hexdigest()[:8]
    return f"{cpu_name()} ({digest})"


def check_fits(info: ExportInfo, model: DenseModel[Any, Any]) -> None:
    """Check that the file belongs to the model. Raises ValueError for other weights or another input size."""
    network = model.network
    if info.network != type(network).__name__:
        raise ValueError(f"exported from a {info.network} ({info.source}), not a {type(network).__name__}")
    if info.weights != fingerprint(network):
        raise ValueError(f"exported from other weights ({info.source})")
    spec = model.input_spec
    expected = tuple(-(-side // spec.multiple) * spec.multiple for side in spec.resized(info.camera_size))
    if expected != info.input_size:
        raise ValueError(
            f"exported for an input of {info.input_size}, but of images of {info.camera_size} this model "
            f"makes {expected} (height, width); is it the same configuration?"
        )


class Dense(nn.Module):
    """A network whose record is flattened to a tuple, the form that PyTorch exports."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        return tuple(tree_leaves(self.network(pixels)))


@torch.inference_mode()
def outline(network: nn.Module, input_size: tuple[int, int]) -> Any:
    """Return the network's record for one image with tensors on the device meta: nothing is computed."""
    tensors = (*network.named_parameters(), *network.named_buffers())
    meta = {name: tensor.to("meta") for name, tensor in tensors}
    pixels = torch.empty(1, 3, *input_size, device="meta")
    return torch.func.functional_call(network, meta, (pixels,))


def exportable(model: SegmentationModel[Any, Any]) -> DenseModel[Any, Any]:
    """Return the model. Raises ValueError for a family without a dense part."""
    if hasattr(model.network, "file_precision"):
        raise ValueError(
            "the model is an ONNX file, which is exported already: use it as it is, without engine"
        )
    if not isinstance(model, DenseModel):
        raise ValueError(f"models of the kind {type(model.network).__name__} cannot be exported")
    return model
