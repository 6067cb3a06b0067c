"""The programs of docs/models.md run."""

import os
import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[1] / "docs" / "models.md"

pytestmark = [pytest.mark.peer, pytest.mark.filterwarnings("ignore")]  # the libraries' own


def test_programs(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "torch")  # before Keras is imported
    for library in ("torch", "keras", "sklearn", "safetensors", "onnx", "onnxruntime"):
        pytest.importorskip(library, reason="the `peers` extra is not installed")
    monkeypatch.chdir(tmp_path)
    programs = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.S)
    assert len(programs) == 6
    names = {}
    for program in programs:
        exec(program, names)
    assert {"model.onnx", "model.c", "model.safetensors"} <= set(os.listdir())
