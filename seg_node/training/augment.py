# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Augment pictures at random: scale, crop, flip, colours, damage."""

from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from seg_node.training.classes import UNKNOWN
from seg_node.training.sample import Sample

SCALES = 0.6, 1.9  # relative to the model's input size


def augment(picture: Sample, short_side: int, long_side: int, rng: np.random.Generator) -> Sample:
    """Return a random view of the picture, at most short_side x long_side pixels in its own orientation."""
    picture = zoom(picture, short_side, long_side, float(np.exp(rng.uniform(*np.log(SCALES)))), rng)
    if rng.random() < 0.5:
        picture = mirror(picture)
    return replace(picture, image=damage(shift_colours(picture.image, rng), rng))


def fit(picture: Sample, short_side: int, long_side: int) -> Sample:
    """Resize the picture to the model's input size, without augmentation."""
    return zoom(picture, short_side, long_side, 1.0, np.random.default_rng(0))


def zoom(picture: Sample, short_side: int, long_side: int, factor: float, rng: np.random.Generator) -> Sample:
    """Scale to `factor` times the input size; where that is too large, crop a random window."""
    height, width = picture.image.shape[:2]
    factor *= min(short_side / min(height, width), long_side / max(height, width))
    size = max(32, round(height * factor)), max(32, round(width * factor))
    limit = (short_side, long_side) if height <= width else (long_side, short_side)
    rows, columns = min(limit[0], size[0]), min(limit[1], size[1])
    y, x = int(rng.integers(size[0] - rows + 1)), int(rng.integers(size[1] - columns + 1))
    window = slice(y, y + rows), slice(x, x + columns)

    def scale(image: NDArray[np.uint8], how: int) -> NDArray[np.uint8]:
        return np.asarray(cv2.resize(image, size[::-1], interpolation=how), np.uint8)[window]

    def scale_all(masks: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return np.array([scale(m, cv2.INTER_NEAREST) for m in masks], np.uint8).reshape(-1, rows, columns)

    smooth = cv2.INTER_AREA if factor < 1 and rng.random() < 0.5 else cv2.INTER_LINEAR
    return replace(
        picture,
        image=scale(picture.image, smooth),
        masks=scale_all(picture.masks),
        crowds=scale_all(picture.crowds),
        semantic=scale(picture.semantic, cv2.INTER_NEAREST),
    )


def mirror(picture: Sample) -> Sample:
    """Flip the picture horizontally."""
    return replace(
        picture,
        image=picture.image[:, ::-1],
        masks=picture.masks[..., ::-1],
        crowds=picture.crowds[..., ::-1],
        semantic=picture.semantic[:, ::-1],
    )


def shift_colours(image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Change colour balance, saturation, contrast and brightness; 3 % become grey. uint8 (H, W, 3)."""
    shifted = image.astype(np.float32) * rng.uniform(0.85, 1.15, 3).astype(np.float32)
    grey = shifted.mean(axis=2, keepdims=True)
    shifted = grey + (shifted - grey) * np.float32(0 if rng.random() < 0.03 else rng.uniform(0.5, 1.5))
    shifted = (shifted - 127) * np.float32(rng.uniform(0.65, 1.35)) + np.float32(127 + rng.uniform(-35, 35))
    return np.clip(shifted, 0, 255).astype(np.uint8)


def damage(image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Add blur, noise, or the blocks of strong JPEG compression, each with some probability."""
    if rng.random() < 0.25:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.4, 1.4))
    if rng.random() < 0.3:
        noise = rng.normal(0, rng.uniform(1, 9), image.shape).astype(np.float32)
        image = np.clip(image + noise, 0, 255).astype(np.uint8)
    if rng.random() < 0.2:
        _, code = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(25, 90))])
        image = np.asarray(cv2.imdecode(code, cv2.IMREAD_COLOR), np.uint8)
    return image


def drop_small(picture: Sample, min_side: int) -> Sample:
    """Drop objects that have become too small to train on; their pixels become unknown."""
    sides = [cv2.boundingRect(np.ascontiguousarray(mask))[2:] for mask in picture.masks]
    kept = np.array([min(side) >= min_side for side in sides], bool)
    semantic = picture.semantic.copy()
    semantic[picture.masks[~kept].any(0)] = UNKNOWN
    # a dropped object's region is ignored in training, like a crowd
    seen = ~kept & np.array([max(side) > 0 for side in sides], bool)
    crowds = np.concatenate([picture.crowds, picture.masks[seen]])
    return replace(
        picture, labels=picture.labels[kept], masks=picture.masks[kept], crowds=crowds, semantic=semantic
    )
