"""fastprop trains multi-layer perceptrons on CPUs: NumPy arrays in, NumPy arrays out."""

try:
    import fastprop._engine  # noqa: F401  is it there?
except ModuleNotFoundError as error:
    if error.name != "fastprop._engine":
        raise
    raise ImportError(
        f"{__path__[0]} is fastprop's source tree, where nothing is compiled: start Python in another directory, "
        "or compile in place with `pip install -e .`"
    ) from None
from fastprop import losses
from fastprop._version import __version__
from fastprop.averages import EMA, SWA
from fastprop.config import get_num_threads, set_num_threads, show_config
from fastprop.ensemble import Ensemble, EnsembleTrainer
from fastprop.files import load
from fastprop.inputs import Embedding, Periodic, PiecewiseLinear
from fastprop.layers import Activation, BatchNorm, Dense, Dropout, LayerNorm, Residual, Scale
from fastprop.network import Network
from fastprop.optimizers import LBFGS, RPROP, SGD, Adagrad, Adam, Adamax, AdamW, AMSGrad, Lion, NAdam, RMSprop
from fastprop.trainer import DivergenceError, History, Trainer

__all__ = [
    "EMA",
    "LBFGS",
    "RPROP",
    "SGD",
    "SWA",
    "AMSGrad",
    "Activation",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "BatchNorm",
    "Dense",
    "DivergenceError",
    "Dropout",
    "Embedding",
    "Ensemble",
    "EnsembleTrainer",
    "History",
    "LayerNorm",
    "Lion",
    "NAdam",
    "Network",
    "Periodic",
    "PiecewiseLinear",
    "RMSprop",
    "Residual",
    "Scale",
    "Trainer",
    "__version__",
    "get_num_threads",
    "load",
    "losses",
    "schedules",
    "set_num_threads",
    "show_config",
]


def __getattr__(name: str):
    """``fp.plots`` is imported when it is first used."""
    if name == "plots":
        import importlib

        return importlib.import_module("fastprop.plots")
    raise AttributeError(f"module 'fastprop' has no attribute {name!r}")
