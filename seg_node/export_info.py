"""What an exported file says about itself: for which model, which image size and which machine it is."""

import hashlib
import json
import platform
import re
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from seg_node import __version__
from seg_node.models.model import SegmentationModel
from seg_node.precision import Precision

METADATA_KEY = "seg_node"
# where PyTorch's package format has room for others
_PACKAGE_MEMBER = "extra/seg_node.json"


@dataclass(frozen=True)
class ExportInfo:
    """network: its class. source: the weights file, for people. weights: their `fingerprint`.

    camera_size, input_size: (height, width) of the camera's image, and of the network's input made from it.
    machine: which one its machine code is for, see `describe_machine`; "" for ONNX, which has none.
    torch, seg_node: versions that wrote it.
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

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @staticmethod
    def from_json(text: str) -> "ExportInfo":
        """Raises ValueError for a text of another form."""
        try:
            fields = json.loads(text)
            sizes = {name: tuple(map(int, fields[name])) for name in ("camera_size", "input_size")}
            return ExportInfo(**{**fields, **sizes})
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"written by another version of seg_node ({error}); export it again") from error


def write_package_info(path: Path, info: ExportInfo) -> None:
    """Adds the description to a package of PyTorch's (.pt2)."""
    with zipfile.ZipFile(path, "a") as package:
        root = package.namelist()[0].partition("/")[0]
        package.writestr(f"{root}/{_PACKAGE_MEMBER}", info.to_json())


def read_package_info(path: Path) -> ExportInfo:
    """Nothing of the package is executed. Raises ValueError when it has no description."""
    try:
        with zipfile.ZipFile(path) as package:
            (member,) = [name for name in package.namelist() if name.endswith(_PACKAGE_MEMBER)]
            text = package.read(member).decode()
    except (zipfile.BadZipFile, ValueError) as error:
        raise ValueError("not a package that seg_node export wrote") from error
    return ExportInfo.from_json(text)


def fingerprint(network: nn.Module) -> str:
    """Hexadecimal SHA-256 of all tensors of the network, their names, and the norms' small constants."""
    digest = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().data)
    for name, module in sorted(network.named_modules()):
        if hasattr(module, "eps"):
            digest.update(f"{name} {module.eps}".encode())
    return digest.hexdigest()


def describe_machine(device: torch.device) -> str:
    """The processor that compiled code runs on: its name and, of a CPU, a digest of its instruction sets."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    cpu = Path("/proc/cpuinfo")
    text = cpu.read_text() if cpu.exists() else platform.processor()
    name = re.search(r"^model name\s*: (.+)$", text, re.MULTILINE)
    flags = re.search(r"^(?:flags|Features)\s*: (.+)$", text, re.MULTILINE)
    digest = hashlib.sha256((flags[1] if flags else "").encode()).hexdigest()[:8]
    return f"{name[1] if name else platform.machine()} ({digest})"


def check_fits(info: ExportInfo, model: SegmentationModel[Any, Any]) -> None:
    """Raises ValueError when it was exported from another model."""
    network = network_of(model)
    if info.network != type(network).__name__:
        raise ValueError(f"exported from a {info.network} ({info.source}), not a {type(network).__name__}")
    if info.weights != fingerprint(network):
        raise ValueError(f"exported from other weights ({info.source})")


def network_of(model: SegmentationModel[Any, Any]) -> nn.Module:
    """Raises ValueError for a family without a part that can be exported."""
    if not hasattr(model.network, "dense"):
        raise ValueError(f"models of the kind {type(model.network).__name__} cannot be exported")
    return model.network
