"""Builds the extension modules; everything else about the package is in pyproject.toml."""

import os
import platform
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build import build
from setuptools.command.build_ext import build_ext
from setuptools.modified import newer_group

# ISA: (machine, source, flags of GCC and Clang, flags of MSVC). The flags name x86-64-v3 and -v4 bit by bit, since
# GCC before 11 does not know those names. An ISA is chosen at import from what the CPU has, never from what built it.
V3 = ["-mavx2", "-mfma", "-mf16c", "-mbmi", "-mbmi2", "-mlzcnt", "-mmovbe"]
V4 = [*V3, "-mavx512f", "-mavx512bw", "-mavx512cd", "-mavx512dq", "-mavx512vl"]
ISAS = {
    "neon": ("aarch64", "src_c/isa_neon.c", [], []),  # every 64-bit ARM has it
    "avx2": ("x86_64", "src_c/isa_avx2.c", [*V3, "-falign-loops=32"], ["/arch:AVX2"]),  # 3% of a step 512 wide
    "avx512": ("x86_64", "src_c/isa_avx512.c", V4, ["/arch:AVX512"]),
}

# -O3 unrolls and keeps tiles in registers; no contraction: an FMA is where someone wrote one. math-errno would keep
# libm calls from being vectorised in the portable kernels, and nothing here reads errno. A kernel that is listed
# and has no body ends the build, where a compiler might only warn.
FLAGS = {
    "unix": [
        "-O3", "-g0", "-std=c11", "-ffp-contract=off", "-fno-math-errno", "-fvisibility=hidden",
        "-Werror=implicit-function-declaration",
    ],
    "msvc": ["/O2", "/std:c11", "/fp:precise"],
}
DTYPES = {"float32": ("FP_BITS", "32"), "float64": ("FP_BITS", "64")}  # an ISA's source is compiled for one at a time
CORE = ["src_c/cpu.c", "src_c/memory.c", "src_c/dispatch.c", "src_c/optimizers.c", "src_c/threads.c"]
PAGE = ["src_c/wasm/playground.c", "src_c/optimizers.c", "src_c/memory.c", "tools/wasm"]  # of playground.wasm
ENGINE, PORTABLE = "fastprop._core._engine", "fastprop._core._portable"
SOURCES = {ENGINE: ["fastprop/_core/_engine.pyx", *CORE], PORTABLE: ["fastprop/_core/_portable.pyx"]}

# FASTPROP_ABI3=1 builds one wheel for CPython 3.11 and all later ones; docs/guide/install.md says what it costs.
ABI3 = os.environ.get("FASTPROP_ABI3", "") not in ("", "0")
LIMITED_API = [("Py_LIMITED_API", "0x030b0000")] if ABI3 else []


def machine() -> str:
    """What the wheel is for: macOS builds two machines, cross compilers say so in _PYTHON_HOST_PLATFORM."""
    target = os.environ.get("ARCHFLAGS") or os.environ.get("_PYTHON_HOST_PLATFORM") or platform.machine()
    if re.search("arm64|aarch64", target, re.IGNORECASE):
        return "aarch64"
    if re.search("x86_64|amd64", target, re.IGNORECASE) and sys.maxsize > 2**32:
        return "x86_64"
    return "other"


def included(path: Path) -> set[str]:
    """The file and all of src_c/ that it includes, directly or not."""
    found: set[str] = set()
    waiting = [path]
    while waiting:
        file = waiting.pop()
        if file.is_file() and os.path.normpath(file) not in found:
            found.add(os.path.normpath(file))
            names = re.findall(r'^\s*#\s*include\s*"([^"]+)"', file.read_text(encoding="utf-8"), re.MULTILINE)
            waiting += [directory / name for name in names for directory in (file.parent, Path("src_c"))]
    return found


class BuildExt(build_ext):
    """Compiles all sources side by side, those of an ISA with its own flags, and only what has changed.

    setuptools compiles the sources of a module one after the other, all with the same flags, and all of them if one has
    changed. It only links here.
    """

    def finalize_options(self) -> None:
        super().finalize_options()
        self.parallel = self.parallel or os.cpu_count()

    def run(self) -> None:
        super().run()
        self.compile_page()

    def build_extensions(self) -> None:
        engine, portable = (next(ext for ext in self.extensions if ext.name == name) for name in (ENGINE, PORTABLE))
        kind = "msvc" if self.compiler.compiler_type == "msvc" else "unix"
        flags = FLAGS[kind] + os.environ.get("FASTPROP_CFLAGS", "").split()
        mine = {name: isa for name, isa in ISAS.items() if isa[0] == machine()}
        macros = [*LIMITED_API, *((f"FP_BUILD_{name.upper()}", "1") for name in mine)]
        of_isa = [
            (source, [*flags, *(msvc if kind == "msvc" else unix)], dtype, [DTYPES[dtype]])
            for _, source, unix, msvc in reversed(mine.values())  # the slowest first
            for dtype in DTYPES
        ]
        with ThreadPoolExecutor(self.parallel) as pool:
            # Cython runs while the first kernels are compiled; what it made of _engine.pyx then takes longest.
            kernels = [pool.submit(self.compile, *each) for each in of_isa[:2]]
            for ext in (engine, portable):
                (done,) = cythonize([ext], build_dir="build/cython", compiler_directives={"language_level": 3})
                ext.sources = done.sources
            modules = {
                name: [pool.submit(self.compile, source, flags, "", macros) for source in sources]
                for name, sources in ((ext.name, ext.sources) for ext in (engine, portable))
            }
            modules[ENGINE] += kernels + [pool.submit(self.compile, *each) for each in of_isa[2:]]
            for ext in (engine, portable):
                ext.sources, ext.depends = [], [each.result() for each in modules[ext.name]]
                ext.extra_objects = ext.depends
        super().build_extensions()

    def compile(self, source: str, flags: list[str], directory: str, macros: list[tuple[str, str]]) -> str:
        """Compile a source unless its object is newer than all that it is made of; return the object."""
        directory = os.path.join(self.build_temp, directory)
        (target,) = self.compiler.object_filenames([source], output_dir=directory)
        if self.force or newer_group([*included(Path(source)), "setup.py"], target):
            self.compiler.compile(
                [source],
                output_dir=directory,
                macros=macros,
                include_dirs=["src_c"],
                debug=self.debug,
                extra_postargs=flags,
            )
        return target

    def compile_page(self) -> None:
        """Compile the network of the playground's page without a server, unless it is newer than its sources.

        Where ziglang is missing the package is built without it, and fastprop/playground/static.py says so. A copy of
        the sources without tools/ builds no page either.
        """
        target = Path(self.get_ext_fullpath(ENGINE)).parents[1] / "playground/assets/playground.wasm"
        sources = {file for source in PAGE for file in included(Path(source))}
        there = find_spec("ziglang") and os.path.exists("tools/wasm")
        if there and (self.force or newer_group([*sorted(sources), "setup.py"], target)):
            target.parent.mkdir(parents=True, exist_ok=True)
            subprocess.run([sys.executable, "tools/wasm", target], check=True)


class Build(build):
    """Keeps modules of the two ABIs apart: a wheel holds all that lies in the folder of what was built."""

    def initialize_options(self) -> None:
        super().initialize_options()
        if ABI3:
            self.build_base = os.path.join(self.build_base, "abi3")


class BdistWheel(bdist_wheel):
    """Names the wheel by the ABI that its modules are compiled for."""

    def finalize_options(self) -> None:
        if ABI3:
            self.py_limited_api = "cp311"
        super().finalize_options()


setup(
    ext_modules=[Extension(name, sources, py_limited_api=ABI3) for name, sources in SOURCES.items()],
    cmdclass={"build": Build, "build_ext": BuildExt, "bdist_wheel": BdistWheel},
)
