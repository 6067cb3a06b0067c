"""Builds the extension modules; everything else about the package is in pyproject.toml."""

import os
import platform
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.modified import newer_group

# ISA: (machine, source, flags of GCC and Clang, flags of MSVC). The flags name x86-64-v3 and -v4 bit by bit, since
# GCC before 11 does not know those names. An ISA is chosen at import from what the CPU has, never from what built it.
V3 = ["-mavx2", "-mfma", "-mf16c", "-mbmi", "-mbmi2", "-mlzcnt", "-mmovbe"]
V4 = [*V3, "-mavx512f", "-mavx512bw", "-mavx512cd", "-mavx512dq", "-mavx512vl"]
ISAS = {
    "neon": ("aarch64", "src_c/isa_neon.c", [], []),  # every 64-bit ARM has it
    "avx2": ("x86_64", "src_c/isa_avx2.c", V3, ["/arch:AVX2"]),
    "avx512": ("x86_64", "src_c/isa_avx512.c", V4, ["/arch:AVX512"]),
}

# -O3 unrolls and keeps tiles in registers; no contraction: an FMA is where someone wrote one. math-errno would keep
# libm calls from being vectorised in the portable kernels, and nothing here reads errno.
FLAGS = {
    "unix": ["-O3", "-g0", "-std=c11", "-ffp-contract=off", "-fno-math-errno", "-fvisibility=hidden"],
    "msvc": ["/O2", "/std:c11", "/fp:precise"],
}
DTYPES = {"float32": ("FP_BITS", "32"), "float64": ("FP_BITS", "64")}  # an ISA's source is compiled for one at a time
CORE = ["src_c/cpu.c", "src_c/memory.c", "src_c/dispatch.c", "src_c/optimizers.c", "src_c/threads.c"]
HEADERS = [str(path) for pattern in ("*.h", "*.def", "*/*.h") for path in Path("src_c").glob(pattern)]


def machine() -> str:
    """What the wheel is for: macOS builds two machines, cross compilers say so in _PYTHON_HOST_PLATFORM."""
    target = os.environ.get("ARCHFLAGS") or os.environ.get("_PYTHON_HOST_PLATFORM") or platform.machine()
    if re.search("arm64|aarch64", target, re.IGNORECASE):
        return "aarch64"
    if re.search("x86_64|amd64", target, re.IGNORECASE) and sys.maxsize > 2**32:
        return "x86_64"
    return "other"


class BuildExt(build_ext):
    """Compiles each ISA's source with its own flags, which setuptools cannot say of one file."""

    def finalize_options(self) -> None:
        super().finalize_options()
        self.parallel = self.parallel or os.cpu_count()  # the two modules take half a minute each

    def build_extension(self, ext: Extension) -> None:
        kind = "msvc" if self.compiler.compiler_type == "msvc" else "unix"
        ext.extra_compile_args = FLAGS[kind] + os.environ.get("FASTPROP_CFLAGS", "").split()
        if ext.name == "fastprop._core._engine":
            mine = {name: isa for name, isa in ISAS.items() if isa[0] == machine()}
            ext.define_macros += [(f"FP_BUILD_{name.upper()}", "1") for name in mine]
            with ThreadPoolExecutor(self.parallel) as pool:
                work = [(isa, dtype) for isa in reversed(mine.values()) for dtype in DTYPES]  # what takes longest first
                ext.extra_objects += pool.map(lambda of: self.compile_isa(ext, kind, *of), work)
        super().build_extension(ext)

    def compile_isa(self, ext: Extension, kind: str, isa: tuple, dtype: str) -> str:
        """Compile one ISA for one dtype unless its object is newer than all that it is made of; return the object."""
        _, source, unix, msvc = isa
        directory = os.path.join(self.build_temp, dtype)
        (target,) = self.compiler.object_filenames([source], output_dir=directory)
        if self.force or newer_group([source, *HEADERS, "setup.py"], target):
            self.compiler.compile(
                [source],
                output_dir=directory,
                macros=[DTYPES[dtype]],
                include_dirs=ext.include_dirs,
                debug=self.debug,
                extra_postargs=ext.extra_compile_args + (msvc if kind == "msvc" else unix),
            )
        return target


def extension(name: str, sources: list[str]) -> Extension:
    return Extension(
        f"fastprop._core.{name}",
        [f"fastprop/_core/{name}.pyx", *sources],
        include_dirs=["src_c"],
        depends=HEADERS,
    )


setup(
    ext_modules=cythonize(
        [extension("_portable", []), extension("_engine", CORE)],
        build_dir="build/cython",
        compiler_directives={"language_level": 3},
    ),
    cmdclass={"build_ext": BuildExt},
)
