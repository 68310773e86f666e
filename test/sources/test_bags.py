# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Frames from bags written here with rosbags, sqlite3 and mcap."""

import builtins
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from written_bags import PIXELS, StoragePlugin, compressed, depth, header, image, write_bag

from seg_node.sources.source import open_source, read_bag


@pytest.mark.parametrize("storage", StoragePlugin)
def test_both_storages_give_pixels_stamps_and_frames(tmp_path: Path, storage: StoragePlugin) -> None:
    other = {
        "/imu": [header(0)],
        "/camera/image_raw": [image(0), image(1, PIXELS[::-1].copy(), "rgb8"), image(2)],
    }
    path = write_bag(tmp_path / "run_1.5", other, storage)
    source = open_source([path])
    assert (source.kind, source.name, source.count, source.fps) == ("bag", "run_1.5", 3, pytest.approx(10))
    frames = list(source.frames)
    assert [name for name, _ in frames] == ["run_1.5_000000", "run_1.5_000001", "run_1.5_000002"]
    assert [frame.stamp_ns for _, frame in frames] == [(100 + index) * 10**9 + 250 for index in range(3)]
    assert [frame.channels for _, frame in frames] == ["bgr", "rgb", "bgr"]
    assert {frame.frame_id for _, frame in frames} == {"optical_frame"}
    np.testing.assert_array_equal(frames[0][1].pixels, PIXELS)
    np.testing.assert_array_equal(frames[1][1].pixels, PIXELS[::-1])


def test_a_single_bag_file_is_read_without_its_metadata(tmp_path: Path) -> None:
    for storage in StoragePlugin:
        bag = write_bag(tmp_path / storage.name, {"/image": [image(0)]}, storage)
        (bag / "metadata.yaml").unlink()
        (file,) = bag.iterdir()
        for path in (file, bag):
            ((_, frame),) = read_bag(path)
            np.testing.assert_array_equal(frame.pixels, PIXELS)


def test_compressed_images_are_decoded(tmp_path: Path) -> None:
    bag = write_bag(tmp_path / "bag", {"/image/compressed": [compressed(3)]})
    ((_, frame),) = read_bag(bag)
    assert (frame.channels, frame.stamp_ns) == ("bgr", 103 * 10**9 + 250)
    np.testing.assert_array_equal(frame.pixels, PIXELS)


MONO = image(0, PIXELS[..., 0].copy(), "mono8")


@pytest.mark.parametrize(
    ("topics", "chosen"),
    [
        ({"/colour": [image(0)], "/depth": [depth(0)], "/infra1": [MONO], "/empty": []}, "/colour"),
        ({"/depth": [depth(0)], "/infra1": [MONO]}, "/infra1"),
        ({"/depth": [depth(0)]}, "/depth"),
        ({"/front": [image(0)], "/front/compressed": [compressed(0)]}, "/front"),
        (
            {
                "/d/compressedDepth": [compressed(0, "16UC1; compressedDepth png")],
                "/front/compressed": [compressed(0)],
            },
            "/front/compressed",
        ),
    ],
)
def test_the_best_ranked_topic_is_chosen(tmp_path: Path, topics: dict[str, list[Any]], chosen: str) -> None:
    bag = write_bag(tmp_path / "bag", topics)
    assert len(list(read_bag(bag))) == 1
    (expected,) = read_bag(bag, chosen)
    (found,) = read_bag(bag)
    np.testing.assert_array_equal(found[1].pixels, expected[1].pixels)
    assert found[1].channels == expected[1].channels


def test_ambiguous_topics_are_listed(tmp_path: Path) -> None:
    bag = write_bag(
        tmp_path / "bag", {"/front": [image(0), image(1)], "/rear": [image(0)], "/depth": [depth(0)]}
    )
    with pytest.raises(
        ValueError, match=r"several .* --topic: /depth \(1 images\), /front \(2 images\), /rear"
    ) as error:
        open_source([bag])
    assert str(bag) in str(error.value)
    assert open_source([bag], topic="/rear").count == 1
    with pytest.raises(ValueError, match=r"no images on topic /left; it has: .*front"):
        open_source([bag], topic="/left")
    with pytest.raises(ValueError, match="no images on any topic"):
        open_source([write_bag(tmp_path / "imu", {"/imu": [header(0)]})])


def test_bad_messages_are_reported_and_the_others_read(tmp_path: Path) -> None:
    cut = image(1)
    cut.data = cut.data[:-5]
    bag = write_bag(tmp_path / "bag", {"/image": [image(0), cut, image(2, encoding="yuv420"), image(3)]})
    told: dict[str, str] = {}
    names = [name for name, _ in read_bag(bag, on_error=lambda name, error: told.update({name: str(error)}))]
    assert names == ["bag_000000", "bag_000003"]
    assert list(told) == ["bag_000001", "bag_000002"] and "yuv420" in told["bag_000002"]
    with pytest.raises(ValueError, match="bag: message 1 of /image: "):
        list(read_bag(bag))


def test_broken_bags_are_refused_by_name(tmp_path: Path) -> None:
    for name in ("broken.mcap", "broken.db3"):
        (tmp_path / name).write_bytes(b"nothing of a bag" * 20)
        with pytest.raises(ValueError, match=rf"{name}: not a readable bag"):
            open_source([tmp_path / name])
    (tmp_path / "two").mkdir()
    for name in ("two/a.mcap", "two/b.mcap"):
        (tmp_path / name).touch()
    with pytest.raises(ValueError, match=r"two: not a readable bag \(it holds 2 bag files"):
        open_source([tmp_path / "two"])


def test_without_rosbags_the_error_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bag = write_bag(tmp_path / "bag", {"/image": [image(0)]})
    real_import = builtins.__import__

    def without_rosbags(name: str, *arguments: Any) -> Any:
        if name.startswith("rosbags"):
            raise ImportError(name)
        return real_import(name, *arguments)

    monkeypatch.setattr(builtins, "__import__", without_rosbags)
    with pytest.raises(RuntimeError, match="pip install rosbags"):
        open_source([bag])
