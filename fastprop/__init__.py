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
from fastprop.config import get_num_threads, set_num_threads, show_config
from fastprop.files import load
from fastprop.inputs import Embedding, Periodic, PiecewiseLinear
from fastprop.layers import Activation, BatchNorm, Dense, Dropout, LayerNorm, Residual, Scale
from fastprop.network import Network
from fastprop.optimizers import SGD
from fastprop.trainer import DivergenceError, History, Trainer

__all__ = [
    "SGD",
    "Activation",
    "BatchNorm",
    "Dense",
    "DivergenceError",
    "Dropout",
    "Embedding",
    "History",
    "LayerNorm",
    "Network",
    "Periodic",
    "PiecewiseLinear",
    "Residual",
    "Scale",
    "Trainer",
    "__version__",
    "get_num_threads",
    "load",
    "losses",
    "set_num_threads",
    "show_config",
]
