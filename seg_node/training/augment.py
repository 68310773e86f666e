"""Pictures changed at random, so that few teach more: scale, window, mirror, colours, damage."""

import cv2
import numpy as np
from numpy.typing import NDArray

from seg_node.training.classes import UNKNOWN
from seg_node.training.sample import Sample

SCALES = 0.6, 1.9  # of the size that the model is used with


def augment(picture: Sample, short_side: int, long_side: int, rng: np.random.Generator) -> Sample:
    """Another view of the picture: at most short_side x long_side pixels, upright or lying as it was."""
    picture = zoom(picture, short_side, long_side, float(np.exp(rng.uniform(*np.log(SCALES)))), rng)
    if rng.random() < 0.5:
        picture = mirror(picture)
    return with_image(picture, damage(shift_colours(picture.image, rng), rng))


def fit(picture: Sample, short_side: int, long_side: int) -> Sample:
    """The picture unchanged, at the size that the model is used with."""
    return zoom(picture, short_side, long_side, 1.0, np.random.default_rng(0))


def zoom(picture: Sample, short_side: int, long_side: int, factor: float, rng: np.random.Generator) -> Sample:
    """Scaled to `factor` times the size that fits; where that is too large, a window at a random place."""
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
    return Sample(
        scale(picture.image, smooth),
        picture.labels,
        scale_all(picture.masks),
        scale_all(picture.crowds),
        picture.exhaustive,
        scale(picture.semantic, cv2.INTER_NEAREST),
    )


def mirror(picture: Sample) -> Sample:
    """Left and right changed."""
    return Sample(
        picture.image[:, ::-1],
        picture.labels,
        picture.masks[..., ::-1],
        picture.crowds[..., ::-1],
        picture.exhaustive,
        picture.semantic[:, ::-1],
    )


def with_image(picture: Sample, image: NDArray[np.uint8]) -> Sample:
    return Sample(image, picture.labels, picture.masks, picture.crowds, picture.exhaustive, picture.semantic)


def shift_colours(image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Other colour balance, saturation, contrast and brightness; now and then grey. uint8 (H, W, 3)."""
    shifted = image.astype(np.float32) * rng.uniform(0.85, 1.15, 3).astype(np.float32)
    grey = shifted.mean(axis=2, keepdims=True)
    shifted = grey + (shifted - grey) * np.float32(0 if rng.random() < 0.03 else rng.uniform(0.5, 1.5))
    shifted = (shifted - 127) * np.float32(rng.uniform(0.65, 1.35)) + np.float32(127 + rng.uniform(-35, 35))
    return np.clip(shifted, 0, 255).astype(np.uint8)


def damage(image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Now and then blur, noise, or the blocks of strong JPEG compression."""
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
    """Without objects that have become too small to teach; their pixels are no longer known."""
    sides = [cv2.boundingRect(np.ascontiguousarray(mask))[2:] for mask in picture.masks]
    kept = np.array([min(side) >= min_side for side in sides], bool)
    semantic = picture.semantic.copy()
    semantic[picture.masks[~kept].any(0)] = UNKNOWN
    # what was too small to keep is a region that teaches nothing, as a crowd is
    seen = ~kept & np.array([max(side) > 0 for side in sides], bool)
    crowds = np.concatenate([picture.crowds, picture.masks[seen]])
    return Sample(
        picture.image, picture.labels[kept], picture.masks[kept], crowds, picture.exhaustive, semantic
    )
