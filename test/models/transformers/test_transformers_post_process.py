# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Post-processing of queries equals the transformers library's for the same masks."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

transformers = pytest.importorskip("transformers")

from thin_transformers import KINDS as ALL_KINDS  # noqa: E402
from thin_transformers import write_transformers_folder  # noqa: E402
from torchvision.transforms.v2 import functional as resizing  # noqa: E402

from seg_node.models.transformers.enlarge import Window, enlarge  # noqa: E402
from seg_node.models.transformers.folder import load_transformers  # noqa: E402
from seg_node.models.transformers.found import QueryPrediction  # noqa: E402
from seg_node.models.transformers.library import LibraryPostProcess  # noqa: E402
from seg_node.models.transformers.model import TransformersModel  # noqa: E402
from seg_node.models.transformers.post_process import choose_post_process  # noqa: E402
from seg_node.models.transformers.reach import find_windows  # noqa: E402
from seg_node.models.transformers.shared_pixels import SharedPixels  # noqa: E402
from seg_node.types import LabelSet, Segmentation  # noqa: E402

NAMES = ("car", "person", "dog", "stuff road", "stuff sky", "cup")
LABELS = LabelSet({0: "car", 1: "person", 2: "dog", 5: "cup"}, {3: "stuff road", 4: "stuff sky"})
KINDS = tuple(kind for kind in ALL_KINDS if kind != "detr")  # whose is the library's
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, TransformersModel]:
    root: Path = tmp_path_factory.mktemp("models")
    return {
        kind: load_transformers(write_transformers_folder(root / kind, kind, NAMES), LABELS) for kind in KINDS
    }


def random_queries(count: int, grid: tuple[int, int], seed: int) -> QueryPrediction:
    """Make overlapping blobs of all sizes, with sure and unsure classes, things and stuff."""
    random = torch.Generator().manual_seed(seed)
    rough = torch.randn(1, count, 5, 7, generator=random) * 6 - 5
    fine = torch.randn(1, count, *grid, generator=random)
    masks = F.interpolate(rough, size=grid, mode="bicubic")[0] + fine[0] * 0.5
    return QueryPrediction(torch.randn(count, len(NAMES) + 1, generator=random) * 4, masks)


def assert_same(found: Segmentation, expected: Segmentation) -> None:
    """Compare classes, masks and maps exactly, scores up to their rounding to six digits."""
    a, b = found.instances, expected.instances
    assert a.class_ids.tolist() == b.class_ids.tolist()
    assert np.abs(a.scores - b.scores).max(initial=0) < 1.5e-6
    for mask, other in zip(a.masks, b.masks, strict=True):
        assert (mask.x_offset, mask.y_offset) == (other.x_offset, other.y_offset)
        assert np.array_equal(mask.pixels, other.pixels)
    assert found.panoptic is not None and expected.panoptic is not None
    assert np.array_equal(found.panoptic.segment_map, expected.panoptic.segment_map)
    assert found.panoptic.segments == expected.panoptic.segments


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [(60, 44), (47, 391), (231, 300)])  # smaller than the masks, both, larger
@pytest.mark.parametrize(("count", "threshold"), [(1, 0.5), (12, 0.5), (40, 0.1)])
def test_objects_and_segments_are_the_librarys(
    kind: str, size: tuple[int, int], count: int, threshold: float, models: dict[str, TransformersModel]
) -> None:
    model = models[kind]
    library = replace(model, post_process=LibraryPostProcess(model.image_processor))
    options = replace(
        model.default_options,
        score_threshold=threshold,
        panoptic_score_threshold=threshold,
        max_instances=1000,
    )
    some = 0
    for seed in range(3):
        raw = random_queries(count, (64, 64) if kind.startswith("eomt") else (50, 80), seed)
        found = model.assemble(raw, size, options)
        assert_same(found, library.assemble(raw, size, options))
        some += len(found.instances)
    assert some > 0 or count != 12


@pytest.mark.parametrize("kind", KINDS)
def test_the_host_waits_for_a_gpu_five_times_at_most(kind: str, models: dict[str, TransformersModel]) -> None:
    pretend = pytest.importorskip("pretend_cuda")
    model = models[kind]
    options = replace(model.default_options, score_threshold=0.2, panoptic_score_threshold=0.2)
    raw = random_queries(8, (64, 64), seed=1)
    on_cpu = model.assemble(raw, (120, 150), options)
    with pretend.pretend_cuda() as device:
        masks = raw.mask_logits.to(torch.device("cuda", 0))
        device.waits.clear()
        found = model.assemble(QueryPrediction(raw.class_logits, masks), (120, 150), options)
        assert 0 < len(device.waits) <= 4, device.waits  # one more is for the classes
    assert len(on_cpu.instances) > 0
    assert_same(found, on_cpu)


@pytest.mark.parametrize("antialias", [False, True])
def test_a_window_of_an_enlarged_mask_is_part_of_the_whole(antialias: bool) -> None:
    random = np.random.default_rng(0)
    for seed in range(30):
        height, width = random.integers(1, 40, 2).tolist()
        size = (height * int(random.integers(1, 8)) + seed % 3, width * 3 + seed)
        mask = torch.randn(height, width, generator=torch.Generator().manual_seed(seed))
        whole = F.interpolate(mask[None, None], size=size, mode="bilinear", antialias=antialias)[0, 0]
        top, bottom = sorted(random.integers(0, size[0] + 1, 2).tolist())
        left, right = sorted(random.integers(0, size[1] + 1, 2).tolist())
        if left == right:
            continue
        window = Window(top, bottom, left, right)
        part = enlarge(mask, size, window, antialias)
        if top < bottom:
            assert part.shape == (bottom - top, right - left)
            assert torch.allclose(part, whole[top:bottom, left:right], rtol=0, atol=1e-5)
        else:
            assert part.numel() == 0


@pytest.mark.parametrize("count", [1, 2, 6])
def test_out_of_its_window_a_mask_neither_owns_nor_claims_a_pixel(count: int) -> None:
    smaller = 0
    for seed in range(10):
        probs = random_queries(count, (20, 31), seed).mask_logits.sub(5).sigmoid()
        size = (20 + 17 * seed, 45 + 20 * seed)
        whole = F.interpolate(probs[None], size=size, mode="bilinear")[0]
        for contested in (False, True):
            windows = find_windows(probs, [0.5] * count, size, contested)
            for mask, window in enumerate(windows):
                outside = torch.ones(size, dtype=torch.bool)
                window.of(outside).fill_(False)
                smaller += bool(outside.any())
                assert not (whole[mask][outside] >= 0.5).any()
                if contested:
                    assert not (whole.argmax(0)[outside] == mask).any()
    assert smaller > 0


def test_more_masks_than_a_byte_can_number_share_pixels() -> None:
    size, count = (20, 20), 400
    whole = Window(0, 20, 0, 20)
    shared = SharedPixels(count, size, CPU, only_sure=False)
    expected = torch.arange(count).view(size)
    for number in range(count):
        own = expected == number
        shared.add(own.float(), own, whole)
    owners, kept = shared.download()
    assert np.array_equal(owners, expected.numpy()) and kept == list(range(count))


@pytest.mark.parametrize("antialias", [False, True])
def test_antialiasing_of_oneformer_is_detected(
    antialias: bool, models: dict[str, TransformersModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Versions of the library differ, so both ways are tested."""

    def resize(image: torch.Tensor, size: tuple[int, int], **_: Any) -> torch.Tensor:
        return F.interpolate(image, size=size, mode="bilinear", antialias=antialias)

    monkeypatch.setattr(resizing, "resize", resize)
    model = models["oneformer"]
    own = choose_post_process("oneformer", model.image_processor, LABELS)
    library = LibraryPostProcess(model.image_processor)
    raw = random_queries(12, (50, 80), seed=0)
    options = model.default_options
    assert_same(
        replace(model, post_process=own).assemble(raw, (21, 37), options),
        replace(model, post_process=library).assemble(raw, (21, 37), options),
    )
    assert own == replace(own, antialias=antialias)  # type: ignore[type-var]
