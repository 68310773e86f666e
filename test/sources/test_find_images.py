# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Images in folders, reports of other files, and names."""

import os
from pathlib import Path

import pytest

from seg_node.sources.find_images import find_images, image_names
from seg_node.sources.source import open_source


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def test_pictures_of_any_known_ending_are_found_and_the_others_counted(tmp_path: Path) -> None:
    pictures = ["a.JPG", "b.jfif", "c.heic", "d.CR2", "e.gif", "f.jp2", "g.tga", "h.pnm"]
    touch(tmp_path, *pictures, "notes.txt", "more.TXT", "clip.mp4", "README", ".DS_Store", "below/i.png")
    found, passed_over = find_images([tmp_path])
    assert [path.name for path in found] == pictures
    assert passed_over.startswith("4 files: .txt (2), ") and passed_over.endswith("; 1 folder")
    assert all(word in passed_over for word in (".mp4 (1)", "no ending (1)"))
    assert open_source([tmp_path]).passed_over == passed_over


def test_hidden_images_of_a_folder_are_passed_over(tmp_path: Path) -> None:
    touch(
        tmp_path,
        "a.jpg",
        "._a.jpg",
        ".b.heic",
        ".DS_Store",
        ".git/config",
        ".x.png/y",
        "below/c.png",
        "two/d",
    )
    assert find_images([tmp_path]) == ([tmp_path / "a.jpg"], "2 folders; 2 hidden images")
    assert find_images([tmp_path / "*"]) == ([tmp_path / "a.jpg"], "")
    with pytest.raises(FileNotFoundError, match=r"no image there \(1 file: no ending \(1\)\)"):
        find_images([tmp_path / "two"])


@pytest.mark.parametrize("name", ["._a.jpg", "._*"])
def test_a_hidden_image_is_found_by_its_name(tmp_path: Path, name: str) -> None:
    touch(tmp_path, "a.jpg", "._a.jpg")
    assert find_images([tmp_path / name]) == ([tmp_path / "._a.jpg"], "")


def test_the_error_for_a_folder_of_folders_and_hidden_images_counts_them(tmp_path: Path) -> None:
    touch(tmp_path, "below/a.png", "._a.png")
    with pytest.raises(FileNotFoundError, match=r"no image there \(1 folder; 1 hidden image\)"):
        find_images([tmp_path])


def test_an_unreadable_image_is_reported_by_name(tmp_path: Path) -> None:
    touch(tmp_path, "c.heic")
    told: list[tuple[str, str]] = []
    assert not list(
        open_source([tmp_path], on_error=lambda name, error: told.append((name, str(error)))).frames
    )
    ((name, text),) = told
    assert name == "c.heic" and "convert it to PNG or JPEG" in text


def test_the_error_for_a_folder_without_images_counts_its_files(tmp_path: Path) -> None:
    touch(tmp_path, "clip.mp4", *(f"{index}.x{index}" for index in range(9)))
    with pytest.raises(
        FileNotFoundError, match=r"no image there \(10 files: .* and 2 more\); supported suffixes: .*\.png"
    ) as error:
        find_images([tmp_path])
    assert str(tmp_path) in str(error.value)


def test_links_and_pipes_of_a_folder_are_not_passed_over(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "broken.png").symlink_to("nowhere.png")
    touch(tmp_path, "whole.png", "folder.png/inside.png")
    assert [path.name for path in find_images([tmp_path])[0]] == ["broken.png", "pipe.png", "whole.png"]


def test_a_file_named_twice_is_taken_once(tmp_path: Path) -> None:
    touch(tmp_path, "a.png", "b.png", "below/c.png")
    arguments = [tmp_path / "a.png", tmp_path, tmp_path / "below/../a.png"]
    assert [path.name for path in find_images(arguments)[0]] == ["a.png", "b.png"]


def test_equal_names_get_their_folders_but_never_lead_out_of_one(tmp_path: Path) -> None:
    touch(tmp_path, "a/x.png", "b/x.png", "c/y.png")
    paths = [tmp_path / "a/../b/x.png", tmp_path / "a/x.png", tmp_path / "c/../c/./y.png"]
    assert image_names(paths) == ("b/x.png", "a/x.png", "c/y.png")
    (tmp_path / "link").symlink_to(tmp_path / "c", target_is_directory=True)
    assert image_names([tmp_path / "link/../a/x.png", tmp_path / "b/x.png"]) == ("a/x.png", "b/x.png")
