"""fastprop trains multi-layer perceptrons on CPUs: NumPy arrays in, NumPy arrays out."""

from typing import TYPE_CHECKING, Any

try:
    import fastprop._engine  # noqa: F401  is it there?
except ModuleNotFoundError as error:
    if error.name != "fastprop._engine":
        raise
    raise ImportError(
        f"{__path__[0]} is fastprop's source tree, where nothing is compiled: start Python in another directory, "
        "or compile in place with `pip install -e .`"
    ) from None
import sys

from fastprop import losses
from fastprop._version import __version__
from fastprop.averages import EMA, SWA
from fastprop.callbacks import Callback, EarlyStopping
from fastprop.config import get_num_threads, set_num_threads, show_config
from fastprop.ensemble import Ensemble, EnsembleTrainer
from fastprop.files import load
from fastprop.inputs import Embedding, Periodic, PiecewiseLinear
from fastprop.layers import Activation, BatchNorm, Dense, Dropout, LayerNorm, Residual, Scale
from fastprop.network import Network
from fastprop.optimizers import LBFGS, RPROP, SGD, Adagrad, Adam, Adamax, AdamW, AMSGrad, Lion, NAdam, RMSprop
from fastprop.trainer import DivergenceError, History, Trainer

if "threadpoolctl" in sys.modules:  # whose import is not ours to pay for
    from fastprop import threadpool  # noqa: F401  registers itself

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
    "Callback",
    "Dense",
    "DivergenceError",
    "Dropout",
    "EarlyStopping",
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
    "from_keras",
    "from_sklearn",
    "from_state_dict",
    "from_torch",
    "get_num_threads",
    "load",
    "losses",
    "schedules",
    "set_num_threads",
    "show_config",
    "to_c",
    "to_onnx",
    "to_torch",
]

# Name -> its room, imported when it is first asked for: most programs need none of them.
_LATER = {
    "from_keras": "keras_bridge",
    "from_sklearn": "sklearn_bridge",
    "from_state_dict": "torch_bridge",
    "from_torch": "torch_bridge",
    "plots": "plots",
    "to_c": "c_export",
    "to_onnx": "onnx_export",
    "to_torch": "torch_bridge",
}

if TYPE_CHECKING:
    from fastprop import plots as plots
    from fastprop.c_export import to_c
    from fastprop.keras_bridge import from_keras
    from fastprop.onnx_export import to_onnx
    from fastprop.sklearn_bridge import from_sklearn
    from fastprop.torch_bridge import from_state_dict, from_torch, to_torch


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module 'fastprop' has no attribute {name!r}")
    from importlib import import_module

    room = import_module(f"fastprop.{_LATER[name]}")
    return room if name == _LATER[name] else getattr(room, name)
