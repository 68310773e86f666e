# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Networks and processors that the transformers library reads from a folder.

Everything is read from the folder: nothing is downloaded, and no code in it is run.
"""

import importlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import torch
from torch.overrides import TorchFunctionMode

from seg_node.models.transformers.checks import check_size, offline
from seg_node.models.transformers.inputs import ToInput

SAFE = {"local_files_only": True, "trust_remote_code": False}


def import_library(source: Path, model_type: str) -> Any:
    """Import the library. Raises RuntimeError if it is missing or too old for the model type.

    source: the folder or file to be loaded, for messages.
    """
    try:
        import transformers
    except ImportError as error:
        raise RuntimeError(f"{source}: {error}; run pip install 'transformers>=4.48'") from error
    if model_type not in transformers.CONFIG_MAPPING:
        raise RuntimeError(
            f"{source}: {model_type} is not in transformers {transformers.__version__}; "
            "run pip install --upgrade transformers"
        )
    transformers.utils.logging.disable_progress_bar()
    return transformers


@contextmanager
def reading(source: Path) -> Iterator[None]:
    """Let the library read, without connections; its errors become RuntimeError or ValueError."""
    logs = importlib.import_module("transformers.utils.logging")
    verbosity = logs.get_verbosity()
    try:
        logs.set_verbosity_error()  # its report on tensors that do not fit has a line for each: ours is one
        with offline():
            yield
    except ImportError as error:  # a package that only some models need
        raise RuntimeError(f"{source}: {error}") from error
    except Exception as error:  # malicious files can make the library raise anything
        reason = str(error) or type(error).__name__
        raise ValueError(f"{source}: the transformers library cannot load it: {reason}") from error
    finally:
        logs.set_verbosity(verbosity)


def read_network(transformers: Any, folder: Path, task: str) -> Any:
    """Read the network in float32. task: ending of the library's AutoModelFor… class.

    Raises ValueError if tensors are missing or do not fit.
    """
    auto_model = getattr(transformers, f"AutoModelFor{task}")
    config = transformers.AutoConfig.from_pretrained(folder, **SAFE)
    for section in (config, getattr(config, "backbone_config", None)):
        if section is not None:
            section.use_pretrained_backbone = False  # it would be downloaded, then overwritten
    return load_network(auto_model, config, folder, auto_model.from_config)


def load_network(
    network_class: Any, config: Any, folder: Path, build: Callable[[Any], Any] | None = None
) -> Any:
    """Load the folder's safetensors in float32, for inference.

    build: makes the network of a configuration; None: the class.
    Raises ValueError if the configuration is of a larger network than the file, and for tensors that are
    missing or of another shape; besides, whatever the library raises.
    """
    config._attn_implementation = None  # the checkpoint's may name code on the hub
    stored_as = config.architectures
    with torch.device("meta"), _RowsOnCpu():
        check_size((build or network_class)(config), folder)
    network, report = network_class.from_pretrained(
        folder,
        config=config,
        use_safetensors=True,
        ignore_mismatched_sizes=True,  # reported below
        output_loading_info=True,
        **SAFE,
    )
    odd = missing_tensors(network, report)
    if odd:
        raise ValueError(
            f"{len(odd)} of its tensors are missing or of another shape, such as {odd[0]}"
            + _other_architecture(stored_as, type(network).__name__)
        )
    return network.float().eval()


class _RowsOnCpu(TorchFunctionMode):
    """Keep `torch.linspace` on the CPU: library 4.48 reads numbers from it while it builds a Swin."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        place = {"device": "cpu"} if func is torch.linspace else {}
        return func(*args, **{**(kwargs or {}), **place})


def missing_tensors(network: Any, report: Any) -> list[str]:
    """List the parameters that the library has not found or could not fit, from its loading report."""
    odd = {*report["missing_keys"], *report["mismatched_keys"]}
    odd = {key if isinstance(key, str) else key[0] for key in odd}  # version 5 adds shapes
    return sorted(odd & dict(network.named_parameters()).keys())  # the losses' buffers do not matter


def _other_architecture(stored_as: Any, needed: str) -> str:
    """Name the architecture of the file, if it differs from the one that has masks."""
    if not isinstance(stored_as, Sequence) or isinstance(stored_as, str) or not stored_as:
        return ""
    return "" if needed in stored_as else f"; the folder holds a {stored_as[0]}, a {needed} is needed"


def read_image_processor(transformers: Any, folder: Path) -> Any:
    return transformers.AutoImageProcessor.from_pretrained(folder, **SAFE)


def try_image(to_input: ToInput, folder: Path) -> Any:
    """Prepare a grey picture. Raises ValueError if the preprocessor's configuration does not fit."""
    grey = PIL.Image.fromarray(np.full((48, 64, 3), 128, np.uint8))
    try:
        return to_input(grey)
    except Exception as error:  # the library raises anything for values that it has not validated
        name = "video_preprocessor_config.json"
        name = name if (folder / name).is_file() else "preprocessor_config.json"
        raise ValueError(f"{folder}: {name} cannot prepare an image ({error!r})") from error
