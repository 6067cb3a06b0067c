"""What setup.py compiles: everything once, and after a change only what is made of the changed file."""

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("Cython")
pytest.importorskip("setuptools")

pytestmark = [
    pytest.mark.peer,
    pytest.mark.skipif(os.name != "posix", reason="the compiler that stands in is a shell script"),
]

ROOT = Path(__file__).resolve().parents[2]
KERNELS = {("isa_avx2.c", "32"), ("isa_avx2.c", "64"), ("isa_avx512.c", "32"), ("isa_avx512.c", "64")}
CORE = {(f"{name}.c", "") for name in ("cpu", "memory", "dispatch", "optimizers", "threads")}
MODULES = {("_engine.c", ""), ("_portable.c", "")}

# Writes its output file, and to a log which source it was to compile for how many bits.
COMPILER = """#!/bin/sh
source= bits=
while [ $# -gt 0 ]; do
    case $1 in
        -o) shift; : > "$1" ;;
        -DFP_BITS=*) bits=${1#*=} ;;
        *.c) source=${1##*/} ;;
    esac
    shift
done
[ -z "$source" ] || echo "$source $bits" >> "$COMPILED"
"""


class Tree:
    """A copy of the sources, built by a compiler that only says what it was to compile."""

    def __init__(self, folder):
        self.folder = folder
        for name in ("src_c", "fastprop/_core"):
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("*.so", "__pycache__"))
        for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE", "tools/wasm"):
            (folder / name).parent.mkdir(exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
        self.compiler = folder / "cc"
        self.compiler.write_text(COMPILER, encoding="ascii")
        self.compiler.chmod(0o755)

    def build(self):
        """Return what a build compiles, as pairs of source and bits."""
        log = self.folder / "compiled"
        log.write_text("", encoding="ascii")
        environment = {
            **os.environ,
            "CC": shlex.quote(str(self.compiler)),
            "LDSHARED": shlex.quote(str(self.compiler)),
            "COMPILED": str(log),
            "_PYTHON_HOST_PLATFORM": "linux-x86_64",  # the same kernels on every machine
        }
        environment.pop("ARCHFLAGS", None)
        command = [sys.executable, "setup.py", "-q", "build_ext", "--build-temp", "objects", "--build-lib", "modules"]
        run = subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, text=True)
        assert run.returncode == 0, run.stderr
        lines = log.read_text(encoding="ascii").splitlines()
        compiled = [tuple(line.split(" ")) for line in lines]
        assert len(compiled) == len(set(compiled)), f"compiled twice: {compiled}"
        return set(compiled)

    def change(self, name):
        """Make a file newer than all that was built of it."""
        built = [path for part in ("objects", "modules", "build") for path in (self.folder / part).rglob("*.*")]
        newest = max(path.stat().st_mtime_ns for path in built) + 1_000_000
        os.utime(self.folder / name, ns=(newest, newest))


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    tree = Tree(tmp_path_factory.mktemp("a path with spaces"))
    assert tree.build() == KERNELS | CORE | MODULES
    return tree


def test_a_second_build_compiles_nothing(tree):
    assert tree.build() == set()


@pytest.mark.parametrize(
    "changed, compiled",
    [
        ("fastprop/_core/job.pxi", {("_engine.c", "")}),
        ("fastprop/_core/portable_losses.pxi", {("_portable.c", "")}),
        ("src_c/cpu.c", {("cpu.c", "")}),
        ("src_c/simd/avx2.h", {each for each in KERNELS if each[0] == "isa_avx2.c"}),
        ("src_c/kernels/gemm.h", KERNELS),
        ("setup.py", KERNELS | CORE | MODULES),
    ],
)
def test_only_what_a_file_is_part_of_is_compiled_again(tree, changed, compiled):
    tree.change(changed)
    assert tree.build() == compiled
    assert tree.build() == set()


def test_the_page_of_the_playground_is_compiled_again_if_a_kernel_changes(tree):
    pytest.importorskip("ziglang", reason="ziglang is not installed: pip install '.[peers]'")
    page = tree.folder / "modules/fastprop/playground/assets/playground.wasm"
    before = page.stat().st_mtime_ns
    assert page.read_bytes().startswith(b"\0asm")
    tree.change("src_c/cpu.c")  # which it does not have
    tree.build()
    assert page.stat().st_mtime_ns == before
    tree.change("src_c/kernels/loss.h")
    tree.build()
    assert page.stat().st_mtime_ns > before
