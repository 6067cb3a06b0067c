"""The installed package is as the project says: one version, stubs, no sources, a quick import."""

import importlib.machinery
import importlib.metadata
import os
import re
import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path

import pytest

import fastprop as fp

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = Path(fp.__file__).parent
INSTALLED = os.environ.get("FASTPROP_TEST_INSTALLED") == "1"


def in_site_packages():
    return Path(sysconfig.get_path("platlib")) in PACKAGE.parents


installed_only = pytest.mark.skipif(
    not in_site_packages(), reason="fastprop runs from a source tree, not from an installed wheel"
)


@pytest.mark.skipif(not INSTALLED, reason="FASTPROP_TEST_INSTALLED=1 is set by .ci/run only")
def test_the_installed_package_is_under_test():
    assert in_site_packages(), f"fastprop was imported from {PACKAGE}, not from site-packages"


def test_one_version():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["project"]["dynamic"] == ["version"]
    assert project["tool"]["setuptools"]["dynamic"] == {"version": {"attr": "fastprop._version.__version__"}}
    newest = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.M)
    assert newest.group(1) == fp.__version__


@installed_only
def test_installed_version():
    assert importlib.metadata.version("fastprop-nn") == fp.__version__


@installed_only
def test_numpy_is_the_only_dependency():
    requires = importlib.metadata.requires("fastprop-nn")
    assert [r for r in requires if "extra ==" not in r] == ["numpy>=1.26"]


@installed_only
def test_no_sources_and_no_tests_installed():
    # Beside the package: licence and metadata, and the `fastprop` command in bin/.
    names = [f for f in importlib.metadata.files("fastprop-nn") if f.parts[0] == "fastprop"]
    assert names
    sources = {str(n) for n in names if n.suffix in {".c", ".h", ".pyx", ".pxd", ".pxi"}}
    assert sources == {"fastprop/__init__.pxd", "fastprop/include/fastprop.h"}  # the C interface
    assert not [n for n in names if "test" in n.stem]


def test_every_compiled_module_has_a_stub():
    assert (PACKAGE / "py.typed").is_file()
    suffixes = tuple(importlib.machinery.EXTENSION_SUFFIXES)
    compiled = [path for path in PACKAGE.rglob("*") if path.name.endswith(suffixes)]
    assert compiled
    for path in compiled:
        assert path.with_name(path.name.split(".")[0] + ".pyi").is_file(), f"{path.name} has no stub"


def test_everything_public_is_there():
    missing = [name for name in fp.__all__ if not hasattr(fp, name)]
    assert missing == []


def test_no_numpy_headers_at_build_time():
    for path in (ROOT / "fastprop" / "_core").glob("*.p[yx][xdi]"):
        assert "cimport numpy" not in path.read_text(encoding="utf-8"), path


def test_readme_has_its_two_commands():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    commands = re.findall(r"^pip install .* && .*$", text, re.M)
    assert commands == ["pip install . && fastprop demo", "pip install '.[test]' && pytest"]


def python(code):
    # -P: the checkout, where pytest usually runs, must not come before the package under test
    environment = {**os.environ, "PYTHONPATH": str(PACKAGE.parent)}
    command = [sys.executable, "-P", "-c", code]
    return subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout


def test_import_is_lazy():
    """``import fastprop`` imports the core alone, nothing that takes long; benchmarks/memory.py measures its time."""
    code = "import sys, numpy; before = set(sys.modules); import fastprop; print(*sorted(set(sys.modules) - before))"
    new = set(python(code).split())
    assert not new & {"argparse", "csv", "hashlib", "json", "pathlib", "html", "difflib", "secrets", "numpy.random"}
    others = ("cli", "dask", "distributed", "estimators", "playground", "plots", "tables")
    assert not new & {f"fastprop.{name}" for name in others}
    assert {name for name in new if name.split(".")[0] in {"torch", "sklearn", "tqdm", "rich"}} == set()


def test_everything_on_offer_can_be_had_and_is_in_the_stub():
    import ast

    stub = ast.parse((ROOT / "fastprop" / "__init__.pyi").read_text(encoding="utf-8"))
    told = {alias.asname for node in stub.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    # A star import, without scikit-learn and Dask, leaves these out.
    estimators = {"MLPClassifier", "MLPRegressor", "TabularClassifier", "TabularRegressor"}
    assert told == {*fp.__all__, "dask", *estimators} == set(dir(fp))
    for name in fp.__all__:
        assert getattr(fp, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'Netwrok'"):
        fp.Netwrok  # noqa: B018
