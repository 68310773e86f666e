# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Random pictures for tables, walls, labels and covers, drawn from a seed: nothing photographed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont

Picture = NDArray[np.uint8]
WORDS = (
    "soup",
    "tea",
    "rice",
    "robot",
    "lab",
    "corn",
    "bean",
    "milk",
    "salt",
    "tools",
    "data",
    "oats",
    "vision",
    "mint",
    "cocoa",
    "atlas",
    "river",
    "sun",
)


def random_colour(rng: np.random.Generator) -> tuple[int, int, int]:
    """An RGB colour; one in three is nearly grey, as many household things are."""
    colour = rng.uniform(10, 250, 3)
    if rng.random() < 0.35:
        colour = np.clip(rng.uniform(15, 250) + rng.normal(0, 8, 3), 0, 255)
    return int(colour[0]), int(colour[1]), int(colour[2])


def value_noise(
    rng: np.random.Generator, size: int, cells: tuple[int, int], octaves: int = 4
) -> NDArray[np.float32]:
    """Smooth noise in 0..1, (size, size) float32; `cells` are the lattice cells along y and x."""
    total = np.zeros((size, size), np.float32)
    for octave in range(octaves):
        shape = (max(2, cells[0] * 2**octave), max(2, cells[1] * 2**octave))
        lattice = Image.fromarray(rng.random(shape, np.float32))
        total += np.asarray(lattice.resize((size, size), Image.Resampling.BICUBIC)) / 2**octave
    total -= total.min()
    return total / max(float(total.max()), 1e-6)


def surface_picture(rng: np.random.Generator, size: int = 256) -> Picture:
    """A table, floor or wall: plain, mottled, grained like wood, tiled or woven. (size, size, 3) RGB."""
    first, second = np.array(random_colour(rng), float), np.array(random_colour(rng), float)
    kind = rng.integers(6)
    if kind <= 1:
        first = np.array([rng.uniform(90, 230), 0, 0])
        first[1:] = first[0] * rng.uniform([0.6, 0.35], [0.9, 0.75])
        second = first * rng.uniform(0.5, 0.85)
        blend = value_noise(rng, size, (int(rng.integers(16, 50)), 2))
    elif kind == 2:
        blend = value_noise(rng, size, (3, 3), 5)
    elif kind == 3:
        blend = np.full((size, size), 0.5, np.float32)
        second = first * rng.uniform(0.9, 1.1)
    elif kind == 4:
        period, line = int(rng.integers(32, 128)), int(rng.integers(1, 5))
        grid = np.arange(size) % period < line
        blend = (grid[:, None] | grid[None, :]) * 0.8 + 0.2 * value_noise(rng, size, (4, 4))
        second = first * rng.uniform(0.5, 1.4)
    else:
        blend = value_noise(rng, size, (64, 64), 2)
        second = first * rng.uniform(0.6, 0.95)
    picture = first + (second - first) * blend[..., None]
    return np.clip(picture + rng.normal(0, rng.uniform(0, 5), picture.shape), 0, 255).astype(np.uint8)


def muted(rng: np.random.Generator, picture: Picture) -> Picture:
    """The same pattern in a quiet colour of wood, stone, plaster or cloth, from dark to bright."""
    tone = np.array([1.0, rng.uniform(0.86, 1.0), rng.uniform(0.7, 1.02)])
    grey = picture.mean(axis=2, keepdims=True)
    middle = rng.uniform(60, 225)
    quiet = (middle + (grey - grey.mean()) * rng.uniform(0.4, 1.0)) * tone
    return np.clip(quiet + (picture - grey) * rng.uniform(0, 0.2), 0, 255).astype(np.uint8)


def label_picture(rng: np.random.Generator, width: int = 256, height: int = 128) -> Picture:
    """A printed label or cover: a ground colour, bands, discs and words. (height, width, 3) RGB."""
    image = Image.new("RGB", (width, height), random_colour(rng))
    draw = ImageDraw.Draw(image)
    for _ in range(rng.integers(0, 5)):
        x, y = rng.uniform(0, width), rng.uniform(0, height)
        w, h = rng.uniform(width / 10, width), rng.uniform(height / 12, height / 2)
        box = (x - w / 2, y - h / 2, x + w / 2, y + h / 2)
        (draw.ellipse if rng.random() < 0.4 else draw.rectangle)(box, fill=random_colour(rng))
    if rng.random() < 0.4:
        y0, y1 = sorted(rng.uniform(0, height, 2))
        draw.rectangle((0, y0, width, y1), fill=random_colour(rng))
    for _ in range(rng.integers(0, 4)):
        font = ImageFont.load_default(float(rng.uniform(height / 10, height / 3)))
        place = (rng.uniform(-0.1, 0.7) * width, rng.uniform(0, 0.85) * height)
        draw.text(place, str(rng.choice(WORDS)).upper(), fill=random_colour(rng), font=font)
    if rng.random() < 0.2:
        image = image.filter(ImageFilter.GaussianBlur(float(rng.uniform(1, 8))))
    return np.asarray(image)


def glaze_picture(rng: np.random.Generator, size: int = 128) -> Picture:
    """Crockery: one colour, now and then with a rim, stripes or speckles. (size, size, 3) RGB."""
    base = np.array(random_colour(rng)) if rng.random() < 0.6 else rng.integers(200, 255) * np.ones(3)
    picture = np.tile(base.astype(float), (size, size, 1))
    kind = rng.integers(5)
    if kind == 0:
        rows = slice(0, int(size * rng.uniform(0.05, 0.3)))
        picture[rows] = random_colour(rng)
    elif kind == 1:
        picture[np.arange(size) // int(rng.integers(4, 24)) % 2 == 0] = random_colour(rng)
    elif kind == 2:
        picture += 60 * (value_noise(rng, size, (8, 8))[..., None] - 0.5)
    return np.clip(picture, 0, 255).astype(np.uint8)


def mixed_picture(
    rng: np.random.Generator, colours: list[tuple[int, int, int]], cells: int = 8, size: int = 128
) -> Picture:
    """Food and the like: a few colours that run into each other, with fine grain. (size, size, 3) RGB."""
    blend = value_noise(rng, size, (cells, cells))[..., None]
    stops = np.array(colours, float) * rng.uniform(0.85, 1.12)
    place = blend * (len(stops) - 1)
    low = np.clip(place.astype(int), 0, max(len(stops) - 2, 0))[..., 0]
    high = np.minimum(low + 1, len(stops) - 1)
    picture = stops[low] + (stops[high] - stops[low]) * (place - low[..., None])
    return np.clip(picture + rng.normal(0, 5, picture.shape), 0, 255).astype(np.uint8)


def crumb_picture(
    rng: np.random.Generator,
    ground: tuple[int, int, int],
    crumbs: list[tuple[int, int, int]],
    size: int = 128,
) -> Picture:
    """A ground strewn with small pieces: toppings, salad, rice. (size, size, 3) RGB."""
    image = Image.fromarray(mixed_picture(rng, [ground, tuple(int(0.8 * c) for c in ground)], 6, size))
    draw = ImageDraw.Draw(image)
    for _ in range(int(rng.integers(40, 160))):
        x, y, r = *rng.uniform(0, size, 2), rng.uniform(1, size / 18)
        colour = np.array(crumbs[int(rng.integers(len(crumbs)))]) * rng.uniform(0.75, 1.15)
        draw.ellipse(
            (x - r, y - r * rng.uniform(0.4, 1), x + r, y + r), fill=tuple(int(min(c, 255)) for c in colour)
        )
    return np.asarray(image)


def sky_picture(rng: np.random.Generator, size: int = 128) -> Picture:
    """What a window shows: bright sky with clouds, sometimes trees or houses below. (size, size, 3) RGB."""
    high, low = np.array([90, 150, 230.0]), np.array([215, 228, 240.0])
    fall = np.linspace(0, 1, size)[:, None, None]
    picture = high + (low - high) * fall * np.ones((1, size, 1))
    clouds = np.clip(value_noise(rng, size, (4, 3))[..., None] * 2 - rng.uniform(0.4, 1.2), 0, 1)
    picture += (250 - picture) * clouds
    horizon = int(size * rng.uniform(0.45, 1.1))
    ground = mixed_picture(rng, [(40, 70, 30), (90, 120, 60), (150, 150, 145)], 10, size)
    ragged = horizon + (value_noise(rng, size, (2, 8))[0] * size * 0.2).astype(int)
    below = np.arange(size)[:, None] > ragged[None]
    picture[below] = ground[below]
    return np.clip(picture * rng.uniform(0.7, 1.05), 0, 255).astype(np.uint8)
