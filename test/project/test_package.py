# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""The package as others take it: versions, declared dependencies, messages, installed programs, C++ use."""

import ast
import importlib.util
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from seg_node import __version__

ROOT = Path(__file__).resolve().parents[2]
ROSDEP_KEYS = {
    "PIL": "python3-pil",
    "cv2": "python3-opencv",
    "numpy": "python3-numpy",
    "rosbags": "python3-rosbags-pip",
    "scipy": "python3-scipy",
    "tf2_ros": "tf2_ros_py",
    "torch": "python3-pytorch-pip",
    "torchvision": "python3-pytorch-pip",
    "tqdm": "python3-tqdm",
    "yaml": "python3-yaml",
}
WITHOUT_ROSDEP_KEY = {"backports", "lz4", "safetensors"}
OPTIONAL = {"av", "matplotlib", "pyarrow", "pycocotools", "rerun", "transformers"}  # extras in setup.py
# triton comes with PyTorch for CUDA, huggingface_hub with transformers; each is imported only where that runs
WITH_OTHERS = {"huggingface_hub", "triton"}
PYPI_NAMES = {"PIL": "pillow", "cv2": "opencv-python", "rerun": "rerun-sdk", "yaml": "pyyaml"}

needs_build = pytest.mark.skipif(
    importlib.util.find_spec("seg_node.msg") is None,
    reason="messages not built; run scripts/setup",
)


def imported_modules(*patterns: str) -> set[str]:
    """Top-level names that the files import anywhere, less the standard library and seg_node itself."""
    names = set()
    for path in (path for pattern in patterns for path in ROOT.glob(pattern)):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                names.add(node.module.split(".")[0])
    in_newer_python = {"compression"}  # 3.14; before, backports has it
    return names - sys.stdlib_module_names - in_newer_python - {"seg_node"}


def package_xml_dependencies() -> set[str]:
    tags = {"depend", "exec_depend"}
    return {element.text for element in ElementTree.parse(ROOT / "package.xml").iter() if element.tag in tags}


def requirements(argument: str) -> set[str]:
    """Names in that argument of setup.py, without versions; of extras all but those for tests."""
    (call,) = (
        node
        for node in ast.walk(ast.parse((ROOT / "setup.py").read_text()))
        if isinstance(node, ast.keyword) and node.arg == argument
    )
    value = ast.literal_eval(call.value)
    if isinstance(value, dict):
        value = [name for extra, names in value.items() if extra != "test" for name in names]
    return {re.match(r"[\w-]+", requirement)[0] for requirement in value}


def test_version_is_the_same_in_package_xml_and_changelog():
    changelog = re.search(r"^## \[(\d+\.\d+\.\d+)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert ElementTree.parse(ROOT / "package.xml").findtext("version") == __version__
    assert changelog[1] == __version__


def test_setup_py_takes_the_version_from_the_package():
    command = [sys.executable, "setup.py", "--version"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout.split()[-1] == __version__


def test_every_message_is_built():
    listed = re.findall(r"^\s+((?:msg|srv)/\w+\.\w+)$", (ROOT / "CMakeLists.txt").read_text(), re.MULTILINE)
    assert listed == sorted(
        str(path.relative_to(ROOT)) for path in [*ROOT.glob("msg/*"), *ROOT.glob("srv/*")]
    )


def test_package_xml_names_what_the_code_imports():
    imported = (
        imported_modules("seg_node/**/*.py", "launch/*.py") - WITHOUT_ROSDEP_KEY - OPTIONAL - WITH_OTHERS
    )
    missing = {ROSDEP_KEYS.get(name, name) for name in imported} - package_xml_dependencies()
    assert not missing


def test_setup_py_names_what_the_core_imports_and_nothing_else():
    core = imported_modules("seg_node/*.py", "seg_node/[!r]*/**/*.py") - WITH_OTHERS
    assert core >= OPTIONAL
    assert {PYPI_NAMES.get(name, name) for name in core - OPTIONAL} == requirements("install_requires")


def test_setup_py_has_an_extra_for_what_is_imported_when_there():
    assert requirements("extras_require") >= {PYPI_NAMES.get(name, name) for name in OPTIONAL}


@pytest.mark.parametrize(("chosen", "profile"), [("", "fastdds_images.xml"), ("UDPv4", "")])
def test_the_environment_has_the_profile_unless_the_transports_are_chosen(chosen, profile):
    names = ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE")
    clean = {key: value for key, value in os.environ.items() if key not in names}
    script = 'root=$0; source "$0/scripts/env.sh"; echo "${!profiles:-}"'
    run = subprocess.run(
        ["bash", "-c", script, ROOT],
        env={**clean, "FASTDDS_BUILTIN_TRANSPORTS": chosen},
        capture_output=True,
        text=True,
        check=True,
    )
    assert Path(run.stdout.strip()).name == profile


def test_fastdds_profile_gives_images_room_in_shared_memory():
    profile = ElementTree.parse(ROOT / "config/fastdds_images.xml")
    (size,) = profile.iterfind(".//{http://www.eprosima.com}segment_size")
    assert int(size.text) >= 8 << 20


@needs_build
def test_installed_programs_start():
    from ament_index_python.packages import get_package_prefix

    programs = Path(get_package_prefix("seg_node")) / "lib/seg_node"
    assert sorted(path.name for path in programs.iterdir()) == ["node", "seg_node"]
    assert all(os.access(path, os.X_OK) for path in programs.iterdir())
    run = subprocess.run([programs / "seg_node", "--version"], capture_output=True, text=True, check=True)
    assert __version__ in run.stdout


@needs_build
def test_cpp_program_finds_the_messages_and_the_decode_header(tmp_path):
    source = ROOT / "test/cpp/consumer"
    for command in (["cmake", "-S", source, "-B", tmp_path], ["cmake", "--build", tmp_path]):
        built = subprocess.run(command, capture_output=True, text=True)
        assert built.returncode == 0, built.stdout + built.stderr
    run = subprocess.run([tmp_path / "consumer"], capture_output=True, text=True, check=True)
    # decode_mask gives the 4 x 5 image; the 2 x 3 mask "101 010" lies at row 2, column 1
    rows = ["0 0 0 0 0", "0 0 0 0 0", "0 1 0 1 0", "0 0 1 0 0"]
    assert run.stdout == f"cup {' '.join(rows)}\n"


@pytest.mark.parametrize("suffix", ["*.py", "*.hpp", "*.cpp"])
def test_every_source_file_states_its_copyright_and_licence(suffix: str) -> None:
    listed = subprocess.run(["git", "ls-files", suffix], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode != 0:
        pytest.skip("not a clone of the repository")
    files = [ROOT / name for name in listed.stdout.splitlines()]
    assert files
    missing = [str(file) for file in files if "SPDX-License-Identifier: Apache-2.0" not in file.read_text()]
    assert not missing
