# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Pickles of weights are read; anything else in a pickle is refused before it runs."""

import datetime
import importlib
import os
import pickle
import subprocess
import sys
from argparse import Namespace
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from seg_node.models.files.pickle_file import read_pickle

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)
MARKER = "hostile_was_here"


class Calls:
    """Object whose unpickling calls a function."""

    def __init__(self, function: Callable[..., Any], *arguments: Any, state: Any = None) -> None:
        self.reduced = (function, arguments) if state is None else (function, arguments, state)

    def __reduce__(self) -> tuple[Any, ...]:
        return self.reduced


@given(
    array=hnp.arrays(
        st.sampled_from(["<f4", ">f4", "f8", "f2", "<i8", ">i2", "u1", "?"]),
        hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4),
    ),
    protocol=st.sampled_from(PROTOCOLS),
    fortran=st.booleans(),
)
def test_arrays_of_numbers_arrive_unchanged(array: np.ndarray, protocol: int, fortran: bool) -> None:
    stored = np.asfortranarray(array) if fortran else array
    (read,) = read_pickle(pickle.dumps([stored], protocol))
    assert isinstance(read, torch.Tensor) and read.shape == stored.shape
    np.testing.assert_array_equal(read.numpy(), stored)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_containers_scalars_and_shared_arrays_are_read(protocol: int) -> None:
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    content = OrderedDict(
        a=array, b=[array, (1, "text", None, True, {3})], c=np.float64(2.5), d={"e": b"bytes"}
    )
    read = read_pickle(pickle.dumps(content, protocol))
    assert list(read) == ["a", "b", "c", "d"] and read["c"] == 2.5 and read["d"] == {"e": b"bytes"}
    assert read["b"][1] == (1, "text", None, True, {3})
    assert read["a"].equal(torch.tensor([[0.0, 1, 2], [3, 4, 5]])) and read["b"][0] is read["a"]


def test_pickle_of_python_2_is_read() -> None:
    """In Python 2 strings are bytes, and numpy's module is numpy.core."""
    data = (
        b"\x80\x02}U\x06conv_wcnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
        b"(K\x01K\x02\x85cnumpy\ndtype\nU\x02f4K\x00K\x01\x87R(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xff"
        b"K\x00tb\x89U\x08\x00\x00\x80?\x00\x00\x80\xfftbs."
    )
    assert read_pickle(data)["conv_w"].equal(torch.tensor([1.0, -torch.inf]))


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_paths_dates_and_settings_beside_the_arrays_do_no_harm(protocol: int) -> None:
    lists: Any = defaultdict(list, a=[1])
    beside = {
        "path": Path("/tmp/x"),
        "time": datetime.datetime(2026, 11, 30, tzinfo=datetime.timezone.utc),
        "day": datetime.date(2026, 11, 30),
        "space": SimpleNamespace(a=1),
        "arguments": Namespace(a=[2], b=Path("/tmp/x")),
        "lists": lists,
        "counts": Counter("aab"),
        "last": deque([1, 2]),
        "names": np.array(["cup", "bowl"]),
        "name": np.str_("cup"),
        "objects": np.array(["cup", None], object),
        "when": np.datetime64("2026-11-30"),
        "range": range(3),
        "part": slice(1, 2),
        "frozen": frozenset([1]),
        "number": 1j,
        "share": Fraction(1, 3),
        "numbers": defaultdict(int, a=1),
    }
    read = read_pickle(pickle.dumps({"w": np.ones(2), **beside}, protocol))
    assert read["w"].tolist() == [1, 1] and read["lists"] == {"a": [1]} and read["counts"] == {"a": 2, "b": 1}
    assert read["numbers"] == {"a": 1} and read["frozen"] in (None, frozenset([1]))
    assert read["space"] == {"a": 1} and read["arguments"] == {"a": [2], "b": None}
    others = beside.keys() - {"lists", "counts", "numbers", "frozen", "space", "arguments"}
    assert {name: read[name] for name in others} == dict.fromkeys(others)


def test_array_can_be_written_to_without_touching_the_file() -> None:
    data = pickle.dumps(np.zeros(3), 4)
    read_pickle(data).add_(1)
    assert read_pickle(data).equal(torch.zeros(3, dtype=torch.float64))


def test_list_that_is_in_very_many_places_stays_one() -> None:
    content: list[Any] = []
    for _ in range(60):
        content = [content, content]
    read = read_pickle(pickle.dumps(content))
    assert read[0] is read[1]


def array_named(kind: Any) -> Calls:
    reconstruct: Any = np.zeros(0).__reduce__()[0]
    return Calls(reconstruct, kind, (0,), b"b")


HOSTILE = {
    "system": (lambda: Calls(os.system, f"touch {MARKER}"), r"(posix|nt)\.system"),
    "Popen": (lambda: Calls(subprocess.Popen, ["touch", MARKER]), r"(subprocess|commands)\.Popen"),
    "eval": (lambda: Calls(eval, f"open('{MARKER}', 'w')"), r"(builtins|__builtin__)\.eval"),
    "exec": (lambda: Calls(exec, f"open('{MARKER}', 'w')"), r"(builtins|__builtin__)\.exec"),
    "open": (lambda: Calls(open, MARKER, "w"), r"(io|_io)\.open"),
    "import": (lambda: Calls(importlib.import_module, "antigravity"), r"importlib\.import_module"),
    "bytearray": (lambda: Calls(bytearray, 10**12), r"(builtins|__builtin__)\.bytearray"),
    "numpy.load": (lambda: Calls(np.load, "weights.npy"), r"numpy(\.lib.*)?\.load"),
    "numpy.fromfile": (lambda: Calls(np.fromfile, "/etc/passwd"), r"numpy\S*\.fromfile"),
    "array of records": (lambda: np.zeros(1, dtype=[("a", "f4")]), "array of |not"),
    "array of another class": (lambda: array_named(OrderedDict), r"class other than numpy\.ndarray"),
    "array of a subclass": (lambda: np.zeros(1).view(np.recarray), r"numpy\.(rec\.)?recarray"),
}


@pytest.mark.parametrize("protocol", [0, 2, 4])
@pytest.mark.parametrize("attempt", HOSTILE)
def test_anything_else_in_a_pickle_is_refused_by_name(
    attempt: str, protocol: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make, name = HOSTILE[attempt]
    data = pickle.dumps({"model": {"conv.weight": np.zeros(3), "x": make()}}, protocol)
    with pytest.raises(pickle.UnpicklingError, match=name):
        read_pickle(data)
    assert not list(tmp_path.iterdir())


def test_the_attempts_do_act_on_a_reader_that_lets_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    pickle.loads(pickle.dumps(Calls(os.system, f"touch {MARKER}")))
    assert (tmp_path / MARKER).exists()


def test_module_with_side_effects_is_not_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sly_module.py").write_text(f"open({str(tmp_path / MARKER)!r}, 'w')\nclass Weights: pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(pickle.UnpicklingError, match=r"sly_module\.Weights"):
        read_pickle(b"csly_module\nWeights\n.")
    assert "sly_module" not in sys.modules and not (tmp_path / MARKER).exists()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"text, not a pickle",
        pickle.dumps(np.zeros(1000))[:-500],
        b"\x80\x04\x8e" + (10**13).to_bytes(8, "little") + b"x.",  # claims bytes that do not follow
        b"\x80\x02}r\xff\xff\xff\x7f.",  # wants a table for 2**31 objects
        b"}p99999999999\n.",
        b"cnumpy\ndtype\n(Vf4\nI0\nI1\ntR(V\x00\nV\xff\nb.",  # a state that numpy would not write
        b"cnumpy\nndarray\n}Vx\nVy\nsb.",  # sets an attribute of the class
        b"cnumpy\nndarray\n(N}V__new__\nVy\nstb.",
        b"cnumpy.core.multiarray\nscalar\n(N}V__new__\nVy\nstb.",
        b"c__builtin__\nbytes\n(I1000000000000\ntR.",
        b"c_codecs\nencode\n(Vtext\nVrot13\ntR.",
        b"]" * 100_000 + b"a" * 99_999 + b".",  # lists nested too deep
        b"(" * 1000 + b"t" * 1000 + b"0" + b"]q\x00h\x00a.",  # a list within itself
    ],
)
def test_damaged_pickle_is_an_error_and_takes_no_memory(data: bytes) -> None:
    with pytest.raises(Exception):  # noqa: B017  of any kind, as documented
        read_pickle(data)


@pytest.mark.parametrize("shape", ["I1000000000000", "I1", "I5"])
def test_shape_that_the_data_cannot_fill_is_refused(shape: str) -> None:
    array = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntVb\ntR"
    dtype = b"cnumpy\ndtype\n(Vf4\nI0\nI1\ntR(I3\nV<\nNNNI-1\nI-1\nI0\ntb"
    filled = b"(I1\n(%s\nt" + dtype + b"I00\nV\x00\x00\x80?\x00\x00\x80?\ntb."
    assert read_pickle(array + filled % b"I2").tolist() == [1, 1]
    with pytest.raises(ValueError, match="reshape"):
        read_pickle(array + filled % shape.encode())


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@given(st.binary(max_size=200), st.integers(0, 400))
def test_flipped_bytes_never_run_anything(noise: bytes, position: int) -> None:
    """A damaged file gives plain data or an exception."""
    data = pickle.dumps({"model": {"w": np.arange(4.0)}, "__author__": "me"}, 2)
    damaged = data[:position] + noise + data[position + len(noise) :]
    try:
        read = read_pickle(damaged)
    except Exception:
        return
    assert not callable(read)
