"""fastprop trains multi-layer perceptrons on CPUs: NumPy arrays in, NumPy arrays out."""

import sys
from typing import Any

try:
    import fastprop._core._engine
    import fastprop._core._portable
except ModuleNotFoundError as error:
    if error.name != "fastprop._core._engine":
        raise
    raise ImportError(
        f"{__path__[0]} is fastprop's source tree, where nothing is compiled: start Python in another directory, "
        "or compile in place with `pip install -e .`"
    ) from None

# The whole core is imported at once, for an import in the middle of a program can go wrong: a signal handler that
# interrupts it finds half a module, and the child of a fork in another thread waits for ever for the module's lock.
import fastprop.explain.explanation
import fastprop.explain.graph
import fastprop.explain.html
import fastprop.nn.derivatives
import fastprop.training.fit  # noqa: F401  this and the four above are what methods of networks and traces import
from fastprop._util.lazy import lazy_import
from fastprop._util.public import defined_in, publish
from fastprop._version import __version__
from fastprop.config import get_include, get_num_threads, set_num_threads, show_config
from fastprop.data.arrays import Scaled
from fastprop.explain.explanation import Explanation
from fastprop.explain.graph import Graph
from fastprop.explain.trace import Trace, trace
from fastprop.interop.c import to_c
from fastprop.interop.from_keras import from_keras
from fastprop.interop.from_sklearn import from_sklearn
from fastprop.interop.from_torch import from_state_dict, from_torch
from fastprop.interop.onnx import to_onnx
from fastprop.interop.to_torch import to_torch
from fastprop.io.model_file import load
from fastprop.nn import activations, layers, losses
from fastprop.nn.embeddings import ByColumn, Embedding, Periodic, PiecewiseLinear
from fastprop.nn.layers import Activation, BatchNorm, Dense, Dropout, LayerNorm, Residual, Scale
from fastprop.nn.network import Network
from fastprop.optim import schedules
from fastprop.optim.averaging import EMA, SWA
from fastprop.optim.optimizers import LBFGS, RPROP, SGD, Adagrad, Adam, Adamax, AdamW, AMSGrad, Lion, NAdam, RMSprop
from fastprop.training.callbacks import Callback, EarlyStopping
from fastprop.training.checkpoint import Checkpoint, load_checkpoint
from fastprop.training.ensemble import Ensemble, EnsembleTrainer
from fastprop.training.history import History
from fastprop.training.monitor import Watch
from fastprop.training.native import Handle
from fastprop.training.trainer import DivergenceError, Trainer

if "threadpoolctl" in sys.modules:  # whose import is not ours to pay for
    from fastprop import _threadpoolctl  # noqa: F401  registers itself

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
    "ByColumn",
    "Callback",
    "Checkpoint",
    "Dense",
    "DivergenceError",
    "Dropout",
    "EarlyStopping",
    "Embedding",
    "Ensemble",
    "EnsembleTrainer",
    "Explanation",
    "Graph",
    "Handle",
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
    "Scaled",
    "Trace",
    "Trainer",
    "Watch",
    "__version__",
    "activations",
    "distributed",
    "from_keras",
    "from_sklearn",
    "from_state_dict",
    "from_torch",
    "get_include",
    "get_num_threads",
    "layers",
    "load",
    "load_checkpoint",
    "losses",
    "plots",
    "schedules",
    "set_num_threads",
    "show_config",
    "to_c",
    "to_onnx",
    "to_torch",
    "trace",
]

# The packages that are imported when they are asked for. A star import must do without Dask, so __all__ has no dask.
_LAZY = ("dask", "distributed", "plots")

publish(globals(), (name for name in __all__ if name not in _LAZY))
for _name in ("activations", "layers", "losses", "schedules"):
    _module = globals()[_name]
    publish(vars(_module), defined_in(vars(_module)), f"fastprop.{_name}")
    sys.modules[f"fastprop.{_name}"] = _module  # under its public name, which pickles have, it can be imported

# The modules of the estimators, which are not in __all__: a star import must do without scikit-learn.
_ESTIMATORS = dict.fromkeys(("MLPClassifier", "MLPRegressor"), "fastprop.sklearn.estimators") | dict.fromkeys(
    ("TabularClassifier", "TabularRegressor"), "fastprop.tabular.estimators"
)


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return lazy_import(f"fastprop.{name}")
    if name.startswith("Torch"):  # what pickles of modules made by to_torch ask for
        from fastprop.interop import torch_modules

        return getattr(torch_modules, name.removeprefix("Torch"))
    if name in _ESTIMATORS:
        return getattr(lazy_import(_ESTIMATORS[name]), name)
    raise AttributeError(f"module 'fastprop' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, "dask", *_ESTIMATORS])
