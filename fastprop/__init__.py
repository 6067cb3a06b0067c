"""fastprop trains multi-layer perceptrons on CPUs: NumPy arrays in, NumPy arrays out."""

import sys
from typing import Any

try:
    import fastprop._engine
    import fastprop._portable  # noqa: F401  which _engine imports too, but no tool that freezes programs sees that
except ModuleNotFoundError as error:
    if error.name != "fastprop._engine":
        raise
    raise ImportError(
        f"{__path__[0]} is fastprop's source tree, where nothing is compiled: start Python in another directory, "
        "or compile in place with `pip install -e .`"
    ) from None

# The whole core is imported at once, for an import in the middle of a program can go wrong: a signal handler that
# interrupts it finds half a module, and the child of a fork in another thread waits for ever for the module's lock.
from fastprop import activations, derivatives, explain, fitting, graph, layers, losses, schedules, trace_page  # noqa: F401  what methods import when called
from fastprop._lazy import lazy_import
from fastprop._version import __version__
from fastprop.averages import EMA, SWA
from fastprop.c_export import to_c
from fastprop.callbacks import Callback, EarlyStopping
from fastprop.checkpoints import Checkpoint, load_checkpoint
from fastprop.config import get_num_threads, set_num_threads, show_config
from fastprop.data import Scaled
from fastprop.ensemble import Ensemble, EnsembleTrainer
from fastprop.files import load
from fastprop.inputs import Embedding, Periodic, PiecewiseLinear
from fastprop.keras_bridge import from_keras
from fastprop.layers import Activation, BatchNorm, Dense, Dropout, LayerNorm, Residual, Scale
from fastprop.network import Network
from fastprop.onnx_export import to_onnx
from fastprop.optimizers import LBFGS, RPROP, SGD, Adagrad, Adam, Adamax, AdamW, AMSGrad, Lion, NAdam, RMSprop
from fastprop.sklearn_bridge import from_sklearn
from fastprop.torch_bridge import from_state_dict, from_torch
from fastprop.torch_export import to_torch
from fastprop.tracing import trace
from fastprop.trainer import DivergenceError, History, Trainer
from fastprop.watch import Watch

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
    "Checkpoint",
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
    "Scaled",
    "Trainer",
    "Watch",
    "__version__",
    "activations",
    "from_keras",
    "from_sklearn",
    "from_state_dict",
    "from_torch",
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

_ESTIMATORS = ("MLPClassifier", "MLPRegressor")  # not in __all__: a star import must do without scikit-learn


def __getattr__(name: str) -> Any:
    if name == "plots":
        lazy_import("fastprop.plots")
        from fastprop import plots

        return plots
    if name in _ESTIMATORS:
        from fastprop import estimators

        return getattr(estimators, name)
    raise AttributeError(f"module 'fastprop' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, *_ESTIMATORS])
