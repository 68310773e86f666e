# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""SAM 3 finds for each prompt what the library's own processor and post-processing find."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("transformers.models.sam3", reason="this version of transformers has no SAM 3")

import transformers
from pretend_cuda import pretend_cuda
from thin_sam3 import QUERIES, write_sam3_folder

from seg_node.inference.engine import Engine
from seg_node.models.load import load_model
from seg_node.models.transformers import sam3
from seg_node.prompts import with_prompts
from seg_node.types import Frame, SegmentOptions

SIX = ("mug", "screwdriver", "a red box", "fork", "door", "cable")  # more than go through the decoder at once
MODELS = {"sam3": "Sam3Model", "sam3_lite_text": "Sam3LiteTextModel"}


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("sam3")
    return {kind: write_sam3_folder(root / kind, kind) for kind in MODELS}


@pytest.fixture
def engine(folders: dict[str, Path]) -> Engine:
    return Engine(load_model(weights=folders["sam3"]), torch.device("cpu"))


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def everything(engine: Engine, *prompts: str) -> SegmentOptions:
    """The library's answer: no duplicates dropped, as many objects as there are queries."""
    own = replace(engine.default_options, duplicate_iou=1.0, max_instances=QUERIES * len(prompts))
    return with_prompts(own, prompts)


def library_answer(
    folder: Path, kind: str, rgb: np.ndarray, prompts: Sequence[str], threshold: float
) -> list[tuple[float, int, np.ndarray, np.ndarray]]:
    """Score, prompt, box and mask of each object, best first; one run of the whole network a prompt."""
    network = getattr(transformers, MODELS[kind]).from_pretrained(folder).eval()
    processor = transformers.Sam3Processor.from_pretrained(folder)
    found: list[tuple[float, int, np.ndarray, np.ndarray]] = []
    for number, prompt in enumerate(prompts):
        with torch.inference_mode():
            output = network(**processor(images=rgb, text=prompt, return_tensors="pt"))
        (objects,) = processor.post_process_instance_segmentation(
            output, threshold=threshold, target_sizes=[rgb.shape[:2]]
        )
        columns = (objects[name].numpy() for name in ("scores", "boxes", "masks"))
        found += [(float(score), number, box, mask == 1) for score, box, mask in zip(*columns, strict=True)]
    return sorted(found, key=lambda entry: -entry[0])


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("size", [(48, 80), (150, 60), (20, 31)])
@pytest.mark.parametrize("prompts", [SIX[:1], SIX[:2], SIX])
def test_objects_are_the_librarys(
    folders: dict[str, Path], kind: str, size: tuple[int, int], prompts: tuple[str, ...]
) -> None:
    rgb = noise(*size)
    engine = Engine(load_model(weights=folders[kind]), torch.device("cpu"))
    options = everything(engine, *prompts)
    expected = library_answer(folders[kind], kind, rgb, prompts, options.score_threshold)

    found = engine.segment(Frame(rgb, "rgb"), options)

    objects = found.instances
    assert len(objects) == len(expected) > 0
    np.testing.assert_allclose(objects.scores, [score for score, *_ in expected], atol=1e-4)
    height, width = size
    for i in range(len(objects)):
        # neighbours with equal scores may swap
        close = [entry for entry in expected if abs(entry[0] - objects.scores[i]) < 2e-4]
        close = [entry for entry in close if entry[1] == objects.class_ids[i]]
        mask = np.zeros(size, bool)
        mask[objects.masks[i].roi.slices] = objects.masks[i].pixels
        assert any(
            np.allclose(np.clip(box, 0, [width, height, width, height]), objects.boxes_xyxy[i], atol=1e-3)
            and (mask ^ other).sum() <= max(1, 0.001 * (mask | other).sum())
            for _, _, box, other in close
        )


def test_the_vision_encoder_runs_once_a_frame_and_the_text_encoder_once_a_list(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []

    def counted(name: str) -> Any:
        method = getattr(engine.model.network, name)

        def call(**inputs: Any) -> Any:
            calls.append(name)
            return method(**inputs)

        return call

    for name in ("get_vision_features", "get_text_features"):
        monkeypatch.setattr(engine.model.network, name, counted(name))
    frame = Frame(noise(48, 80), "rgb")
    for prompts in (SIX, SIX, SIX[:2], SIX):
        engine.segment(frame, everything(engine, *prompts))
    assert calls.count("get_vision_features") == 4
    assert calls.count("get_text_features") == 3  # the second frame used the first one's


def test_the_answer_names_the_prompts_of_its_own_frame(engine: Engine) -> None:
    frame = Frame(noise(48, 80), "rgb")
    for prompts in (("mug", "fork"), ("fork", "mug")):
        found = engine.segment(frame, everything(engine, *prompts))
        assert found.labels is not None
        assert found.labels.things == dict(enumerate(prompts))
    assert engine.labels.things == {}


def test_only_wanted_prompts_are_run(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    frame = Frame(noise(48, 80), "rgb")
    options = everything(engine, *SIX)
    whole = engine.segment(frame, options).instances
    chosen = engine.segment(frame, replace(options, classes=frozenset({1, 5}))).instances
    assert set(chosen.class_ids.tolist()) == {1, 5}
    np.testing.assert_allclose(chosen.scores, whole.scores[np.isin(whole.class_ids, [1, 5])], atol=1e-5)
    assert len(engine.segment(frame, replace(options, classes=frozenset())).instances) == 0


def test_the_best_of_all_prompts_are_kept(engine: Engine) -> None:
    frame = Frame(noise(48, 80), "rgb")
    options = everything(engine, *SIX)
    whole = engine.segment(frame, options).instances
    best = engine.segment(frame, replace(options, max_instances=5)).instances
    np.testing.assert_array_equal(best.scores, whole.scores[:5])
    np.testing.assert_array_equal(best.class_ids, whole.class_ids[:5])


def test_one_object_that_two_prompts_find_is_named_once(engine: Engine) -> None:
    frame = Frame(noise(48, 80), "rgb")
    options = everything(engine, "mug", "MUG")  # the tokenizer's letters are all small
    both = engine.segment(frame, options).instances
    once = engine.segment(frame, replace(options, duplicate_iou=0.99)).instances
    assert sorted(both.class_ids.tolist()).count(0) == sorted(both.class_ids.tolist()).count(1) > 0
    assert len(once) <= len(both) / 2


def test_nothing_above_the_threshold_is_an_empty_result(engine: Engine) -> None:
    options = replace(everything(engine, *SIX), score_threshold=1.0)
    found = engine.segment(Frame(noise(48, 80), "rgb"), options)
    assert len(found.instances) == 0
    assert found.panoptic is not None and not found.panoptic.segments


def test_a_batch_is_its_frames_one_by_one(engine: Engine) -> None:
    frames = [Frame(noise(48, 80, seed), "rgb") for seed in range(2)]
    options = everything(engine, "mug", "fork")
    for found, frame in zip(engine.segment_batch(frames, options), frames, strict=True):
        alone = engine.segment(frame, options)
        np.testing.assert_array_equal(found.instances.scores, alone.instances.scores)


def test_prompts_of_any_number_fit_the_decoders_batches(engine: Engine) -> None:
    frame = Frame(noise(48, 80), "rgb")
    for count in range(1, 2 * sam3.PROMPTS_AT_ONCE + 2):
        prompts = [f"{letter}{letter}" for letter in "abcdefghi"[:count]]
        found = engine.segment(frame, everything(engine, *prompts)).instances
        assert found.class_ids.max(initial=0) < count


def test_without_prompts_a_frame_is_refused(engine: Engine) -> None:
    with pytest.raises(ValueError, match="there are none: give some, such as mug, screwdriver"):
        engine.segment(Frame(noise(48, 80), "rgb"), engine.default_options)


def test_a_prompt_that_is_too_long_for_the_text_encoder_is_refused(engine: Engine) -> None:
    engine.prompted(engine.default_options, ["a" * 30])
    with pytest.raises(ValueError, match=r"the prompt 'a+' has 31 tokens, of at most 30: shorten it"):
        engine.prompted(engine.default_options, ["mug", "a" * 31])


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_other_precisions_find_about_the_same(folders: dict[str, Path], precision: str) -> None:
    engines = [
        Engine(load_model(weights=folders["sam3"]), torch.device("cpu"), each)
        for each in ("exact", precision)
    ]
    frame = Frame(noise(48, 80), "rgb")
    best = [
        engine.segment(frame, everything(engine, "mug", "fork")).instances.scores[:3] for engine in engines
    ]
    np.testing.assert_allclose(*best, atol=1e-4 if precision == "fp32" else 0.02)


@pytest.mark.parametrize("precision", ["exact", "fp32"])
def test_a_gpu_finds_what_the_cpu_finds(folders: dict[str, Path], engine: Engine, precision: str) -> None:
    frames = [Frame(noise(48, 80, seed), "rgb") for seed in range(2)]
    options = everything(engine, *SIX)
    expected = engine.segment_batch(frames, options)
    with pretend_cuda(log=False):
        other = Engine(load_model(weights=folders["sam3"]), torch.device("cuda", 0), precision)
        found = other.segment_batch(frames, options)
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours.instances.scores, theirs.instances.scores, atol=1e-3)
        areas = [[mask.area for mask in each.instances.masks] for each in (ours, theirs)]
        np.testing.assert_allclose(*areas, atol=3)
