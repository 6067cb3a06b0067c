"""PyInstaller's hook for fastprop: the files that it reads, and what it imports only for a user who has it already."""

from PyInstaller.utils.hooks import collect_data_files

datas = collect_data_files("fastprop", excludes=["**/*.pyi"])
# A program with tensors or data frames imports these itself; without, PyTorch alone would add a gigabyte.
excludedimports = ["pandas", "torch"]
