# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""The endless, repeatable stream of training examples, and batches of them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from seg_node.preprocess.prepare import InputSpec
from seg_node.training.augment import augment, drop_small
from seg_node.training.classes import UNKNOWN
from seg_node.training.dataset import Picture
from seg_node.training.interruption import ignore_interruption
from seg_node.training.paste_instances import paste_objects
from seg_node.training.sample import Sample, open_picture

MIN_SIDE = 4  # pixels of the scaled picture; smaller objects are dropped
PASTE_CHANCE = 0.5
MAX_PASTED = 4


@dataclass(frozen=True)
class Target:
    """Ground truth of one picture, in pixels of the network's input.

    boxes: float (N, 4), xyxy. labels: int64 (N,). masks: uint8 (N, H, W), of the unpadded picture.
    crowds: float (M, 4), boxes of ignored regions. exhaustive: bool (1 + things,).
    """

    boxes: Tensor
    labels: Tensor
    masks: Tensor
    crowds: Tensor
    exhaustive: Tensor


@dataclass(frozen=True)
class Batch:
    """A batch of training examples.

    pixels: float (N, 3, H, W), normalised, padded with zeros. sizes: (height, width) without padding.

    semantic: int64 (N, H, W), UNKNOWN in the padding.
    """

    pixels: Tensor
    sizes: tuple[tuple[int, int], ...]
    targets: tuple[Target, ...]
    semantic: Tensor

    def to(self, device: torch.device) -> "Batch":
        targets = tuple(
            Target(*(value.to(device, non_blocking=True) for value in vars(target).values()))
            for target in self.targets
        )
        return Batch(self.pixels.to(device), self.sizes, targets, self.semantic.to(device))


class Examples(Dataset[Sample]):
    """Training examples by number: number and seed determine the picture and its augmentation.

    sets: the pictures of each data set. weights: how often each set is drawn.
    """

    def __init__(
        self,
        sets: Sequence[Sequence[Picture]],
        weights: Sequence[float],
        short_side: int,
        long_side: int,
        seed: int,
    ) -> None:
        self._sets, self._sides, self._seed = sets, (short_side, long_side), seed
        self._chances = np.array(weights) / sum(weights)

    def __getitem__(self, number: int) -> Sample:
        rng = np.random.default_rng((self._seed, number))
        picture = augment(self._draw(rng), *self._sides, rng)
        if rng.random() < PASTE_CHANCE:
            picture = paste_objects(picture, self._draw(rng), int(rng.integers(1, MAX_PASTED + 1)), rng)
        return drop_small(picture, MIN_SIDE)

    def _draw(self, rng: np.random.Generator) -> Sample:
        pictures = self._sets[rng.choice(len(self._sets), p=self._chances)]
        return open_picture(pictures[int(rng.integers(len(pictures)))])


class _From(Sampler[int]):
    """Yield first, first + 1, … without end."""

    def __init__(self, first: int) -> None:
        self._first = first

    def __iter__(self) -> Iterator[int]:
        number = self._first
        while True:
            yield number
            number += 1


class Collate:
    """Collate examples into a batch for networks with this input."""

    def __init__(self, spec: InputSpec) -> None:
        self._spec = spec

    def __call__(self, examples: Sequence[Sample]) -> Batch:
        sizes = tuple(example.image.shape[:2] for example in examples)
        multiple = self._spec.multiple
        height, width = (-(-max(side) // multiple) * multiple for side in zip(*sizes, strict=True))
        pixels = torch.zeros(len(examples), 3, height, width)
        semantic = torch.full((len(examples), height, width), UNKNOWN)
        mean, std = (torch.tensor(values)[:, None, None] for values in (self._spec.mean, self._spec.std))
        for i, (example, (rows, columns)) in enumerate(zip(examples, sizes, strict=True)):
            image = torch.from_numpy(np.ascontiguousarray(example.image.transpose(2, 0, 1)))
            pixels[i, :, :rows, :columns] = (image / self._spec.pixel_max - mean) / std
            semantic[i, :rows, :columns] = torch.from_numpy(np.ascontiguousarray(example.semantic))
        return Batch(pixels, sizes, tuple(map(_target, examples)), semantic)


def _target(example: Sample) -> Target:
    return Target(
        _boxes(example.masks),
        torch.from_numpy(example.labels),
        torch.from_numpy(np.ascontiguousarray(example.masks)),
        _boxes(example.crowds),
        torch.from_numpy(example.exhaustive),
    )


def _boxes(masks: np.ndarray) -> Tensor:
    rects = [cv2.boundingRect(np.ascontiguousarray(mask)) for mask in masks]
    return torch.tensor([(x, y, x + w, y + h) for x, y, w, h in rects], dtype=torch.float32).reshape(-1, 4)


def batches(
    examples: Examples, spec: InputSpec, batch: int, first_step: int, workers: int
) -> Iterator[Batch]:
    """Yield the batches of step first_step, first_step + 1, …, read by `workers` processes.

    Raises ValueError naming a picture that cannot be read.
    """
    loader = DataLoader(
        _ErrorsAsValues(examples),
        batch_size=batch,
        sampler=_From(first_step * batch),
        num_workers=workers,
        collate_fn=_Collate(spec),
        worker_init_fn=_start_worker if workers else None,
        pin_memory=torch.cuda.is_available(),
    )
    return _raise_errors(iter(loader))  # starts the worker processes, before signal handlers are set


def _raise_errors(found: Iterator[Batch | ValueError]) -> Iterator[Batch]:
    for batch in found:
        if isinstance(batch, ValueError):
            raise batch
        yield batch


class _ErrorsAsValues(Dataset[Sample | ValueError]):
    """Return errors as values: torch would put a worker's whole traceback into the exception's text."""

    def __init__(self, examples: Examples) -> None:
        self._examples = examples

    def __getitem__(self, number: int) -> Sample | ValueError:
        try:
            return self._examples[number]
        except ValueError as error:
            return error


class _Collate:
    """`Collate`, which returns the first error, if any, in place of a batch."""

    def __init__(self, spec: InputSpec) -> None:
        self._collate = Collate(spec)

    def __call__(self, examples: Sequence[Sample | ValueError]) -> Batch | ValueError:
        error = next((example for example in examples if isinstance(example, ValueError)), None)
        return error or self._collate([example for example in examples if isinstance(example, Sample)])


def _start_worker(worker: int) -> None:
    ignore_interruption()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
