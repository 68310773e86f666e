# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Objects for training renders alone: their class, place and size."""

from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

pytest.importorskip("PIL", reason="Pillow is not installed")


@pytest.fixture
def hard_kinds(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(Path(__file__).resolve().parents[2] / "embedded_model"))
    import hard_kinds  # type: ignore[import-not-found]

    assert isinstance(hard_kinds, ModuleType)
    return hard_kinds


@pytest.mark.parametrize("seed", range(5))
def test_the_drink_is_inside_its_cup_and_below_the_rim(hard_kinds: ModuleType, seed: int) -> None:
    made = hard_kinds.full_cup(np.random.default_rng(seed))
    drink, cup = made.parts[-1].vertices, made.parts[0].vertices
    level = drink[:, 2].max()
    assert made.name == "cup" and 0.5 * made.height < level < made.height
    wall = cup[np.abs(cup[:, 2] - level) < 0.1 * made.height]
    assert 0.01 < np.hypot(drink[:, 0], drink[:, 1]).max() < np.hypot(wall[:, 0], wall[:, 1]).min()


def test_plain_crockery_has_one_light_colour(hard_kinds: ModuleType) -> None:
    names = set()
    for seed, kind in enumerate(hard_kinds.HARD[2:]):
        made = kind(np.random.default_rng(seed))
        names.add(made.name)
        colours = np.unique(np.concatenate([part.picture.reshape(-1, 3) for part in made.parts]), axis=0)
        assert len(colours) == 1 and colours.min() > 150
    assert names == {"cup", "bowl", "plate"}


@pytest.mark.parametrize("seed", range(5))
def test_an_arm_is_a_person_whose_hand_is_at_the_origin(hard_kinds: ModuleType, seed: int) -> None:
    made = hard_kinds.arm(np.random.default_rng(seed))
    points = np.concatenate([part.vertices for part in made.parts])
    assert made.name == "person" and len(made.parts) in (7, 8)
    assert np.abs(made.parts[0].vertices[:, :2]).max() < 0.08  # the palm
    assert -0.2 < points[:, 0].min() < -0.05 and 0.5 < points[:, 0].max() < 0.9
    assert points[:, 2].min() > -0.06
