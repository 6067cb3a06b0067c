"""PyInstaller's hook for fastprop: the data files that it reads, and the modules that it does not need."""

from PyInstaller.utils.hooks import collect_data_files

hiddenimports = ["fastprop.distributed", "fastprop.plots"]  # which fastprop imports by name, when they are asked for
datas = collect_data_files("fastprop", excludes=["**/*.pyi"])
# A program that uses tensors or data frames imports these itself. In any other, PyTorch alone would add a gigabyte.
excludedimports = ["pandas", "torch"]
