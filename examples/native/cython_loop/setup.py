"""Compile plant.pyx: ``python setup.py build_ext --inplace``."""

from Cython.Build import cythonize
from setuptools import Extension, setup

import fastprop as fp

setup(name="plant", ext_modules=cythonize([Extension("plant", ["plant.pyx"], include_dirs=[fp.get_include()])]))
