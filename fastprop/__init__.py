"""fastprop trains multi-layer perceptrons on CPUs: NumPy arrays in, NumPy arrays out."""

import sys
from typing import Any

try:
    import fastprop._engine  # noqa: F401  is it there?
except ModuleNotFoundError as error:
    if error.name != "fastprop._engine":
        raise
    raise ImportError(
        f"{__path__[0]} is fastprop's source tree, where nothing is compiled: start Python in another directory, "
        "or compile in place with `pip install -e .`"
    ) from None
from fastprop._version import __version__
from fastprop.config import get_num_threads, set_num_threads, show_config

if "threadpoolctl" in sys.modules:  # whose import is not ours to pay for
    from fastprop import threadpool  # noqa: F401  registers itself

# Room -> what it is known for, imported when it is first asked for. Type checkers read __init__.pyi.
_ROOMS = {
    "averages": ("EMA", "SWA"),
    "callbacks": ("Callback", "EarlyStopping"),
    "c_export": ("to_c",),
    "checkpoints": ("Checkpoint", "load_checkpoint"),
    "data": ("Scaled",),
    "ensemble": ("Ensemble", "EnsembleTrainer"),
    "files": ("load",),
    "inputs": ("Embedding", "Periodic", "PiecewiseLinear"),
    "keras_bridge": ("from_keras",),
    "layers": ("Activation", "BatchNorm", "Dense", "Dropout", "LayerNorm", "Residual", "Scale"),
    "network": ("Network",),
    "onnx_export": ("to_onnx",),
    "optimizers": (
        *("SGD", "Adagrad", "RMSprop", "Adam", "AdamW", "Adamax", "NAdam", "AMSGrad", "Lion", "RPROP", "LBFGS"),
    ),
    "sklearn_bridge": ("from_sklearn",),
    "torch_bridge": ("from_state_dict", "from_torch"),
    "torch_export": ("to_torch",),
    "tracing": ("trace",),
    "trainer": ("DivergenceError", "History", "Trainer"),
    "watch": ("Watch",),
}
_ROOM_OF = {name: room for room, names in _ROOMS.items() for name in names}
_ESTIMATORS = ("MLPClassifier", "MLPRegressor")  # not in __all__: a star import must do without scikit-learn
_MODULES = ("activations", "losses", "plots", "schedules")  # known as themselves

__all__ = ["__version__", "get_num_threads", "set_num_threads", "show_config"]
__all__ += [*_MODULES, *_ROOM_OF]


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name in _MODULES:
        return import_module(f"fastprop.{name}")
    room = "estimators" if name in _ESTIMATORS else _ROOM_OF.get(name)
    if room is None:
        raise AttributeError(f"module 'fastprop' has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(f"fastprop.{room}"), name)
    return found


def __dir__() -> list[str]:
    return sorted([*__all__, *_ESTIMATORS])
