# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""SAM 3's text encoder: prompts → embeddings, kept until the prompts change."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from seg_node.models.gpu.transfer import upload

MAX_TOKENS = 32  # the library pads to them (Sam3Processor.__call__), the beginning's and the end's included


@dataclass(frozen=True)
class TextFeatures:
    """P encoded prompts of T tokens. embeds: (P, T, C). attention_mask: (P, T)."""

    embeds: Tensor
    attention_mask: Tensor

    def arguments(self, numbers: Sequence[int]) -> dict[str, Tensor]:
        """Return the network's arguments for the prompts at these places."""
        rows = list(numbers)
        chosen = self.embeds[rows]
        embeds = chosen[:]
        # Newer versions of the library read pooler_output of text_embeds, 5.0 to 5.3 text_embeds themselves.
        setattr(embeds, "pooler_output", chosen)  # noqa: B010  # not an attribute that mypy knows
        return {"text_embeds": embeds, "attention_mask": self.attention_mask[rows]}


class TextEncoder:
    """Encodes prompts by the library's network and processor. Its methods may be called from any thread."""

    def __init__(self, network: Any, processor: Any) -> None:
        self._network, self._processor = network, processor
        self._lock = threading.Lock()  # the tokenizer keeps the last call's padding
        self._kept: tuple[tuple[str, ...], TextFeatures] | None = None

    def check(self, prompts: Sequence[str]) -> None:
        """Raise ValueError for a prompt of more tokens than the network takes."""
        for prompt in prompts:
            with self._lock:
                count = len(self._processor.tokenizer(prompt)["input_ids"])
            if count > MAX_TOKENS:
                raise ValueError(
                    f"the prompt {prompt!r} has {count - 2} tokens, of at most {MAX_TOKENS - 2}: shorten it"
                )

    def __call__(self, prompts: tuple[str, ...], device: torch.device) -> TextFeatures:
        """Encode the prompts, or return what was kept of them. Raises ValueError as `check` does."""
        if self._kept is None or self._kept[0] != prompts:
            self._kept = prompts, self._encode(prompts, device)
        return self._kept[1]

    def _encode(self, prompts: tuple[str, ...], device: torch.device) -> TextFeatures:
        self.check(prompts)
        with self._lock:
            inputs = self._processor(text=list(prompts), return_tensors="pt")
        tokens, mask = (upload(inputs[name], device) for name in ("input_ids", "attention_mask"))
        embeds = self._network.get_text_features(input_ids=tokens, attention_mask=mask)
        return TextFeatures(embeds.pooler_output, mask)
