"""Types of the compiled engine; ``_engine.pyx`` has the documentation."""

import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

HYPER: int
KINDS: dict[str, int]

class Buffer:
    def __init__(self, array: np.ndarray | None, writable: bool = False) -> None: ...

class Engine:
    def slices(self, rows: int) -> int: ...
    @property
    def implied(self) -> list[int]: ...
    @property
    def isa(self) -> str: ...
    @property
    def rows_saved(self) -> int: ...
    @property
    def used_elsewhere(self) -> bool: ...
    @property
    def thread_local(self) -> threading.local: ...
    gradient: np.ndarray
    swapped: bool
    def exclusive(self) -> Exclusive: ...
    def locked(self) -> Exclusive: ...
    def __init__(
        self,
        dtype: str,
        n_inputs: int,
        members: int,
        operations: Sequence[dict[str, Any]],
        parameters: np.ndarray,
        gradient: np.ndarray,
        state: np.ndarray,
    ) -> None: ...
    def forward(self, x: np.ndarray, out: np.ndarray) -> None: ...
    def forward_and_save(
        self, x: np.ndarray, out: np.ndarray, training: bool = False, seed: int = 0, step: int = 0
    ) -> None: ...
    def backward(self, dy: np.ndarray, dx: np.ndarray) -> bool: ...
    def jacobian(self, x: np.ndarray, dx: np.ndarray, out: np.ndarray) -> None: ...
    def row_gradients(
        self,
        x: np.ndarray,
        y: np.ndarray | None,
        label: np.ndarray | None,
        loss: CompiledLoss,
        gradients: np.ndarray,
    ) -> None: ...
    @property
    def has_batch_norm(self) -> bool: ...
    def cost(
        self,
        x: np.ndarray,
        y: np.ndarray | None,
        label: np.ndarray | None,
        weight: np.ndarray | None,
        loss: CompiledLoss,
        gradient: np.ndarray | None,
        training: bool = False,
        seed: int = 0,
        step: int = 0,
    ) -> float: ...
    def trace(
        self,
        x: np.ndarray,
        y: np.ndarray | None,
        label: np.ndarray | None,
        weight: np.ndarray | None,
        loss: CompiledLoss,
        training: bool = False,
        seed: int = 0,
        step: int = 0,
    ) -> tuple[list[dict[str, np.ndarray]], np.ndarray, np.ndarray, np.ndarray]: ...
    def try_forward(self, x: Any) -> np.ndarray | None: ...
    def all_finite(self, x: np.ndarray) -> bool: ...

class Exclusive:
    def __init__(self, engine: Engine, locked: bool) -> None: ...
    def __enter__(self) -> None: ...
    def __exit__(self, *args: object) -> None: ...

class CompiledLoss:
    def __init__(self, loss_id: int, hyper: tuple[float, ...], n_targets: int) -> None: ...

class CompiledOptimizer:
    rate: float
    steps: int
    changes: int
    def __init__(
        self,
        engine: Engine,
        optimizer_id: int,
        rate: float,
        hyper: tuple[float, ...],
        memory: np.ndarray,
        state: np.ndarray | None,
        segments: np.ndarray,
        constraints: np.ndarray,
        clip_value: float,
        clip_norm: float,
        squares: np.ndarray | None,
        averaged: np.ndarray | None,
        averages: np.ndarray | None,
        average: tuple[int, int, float],
    ) -> None: ...

class CompiledTrainer:
    optimizer: CompiledOptimizer
    steps: int
    seed: int
    @property
    def engine(self) -> Engine: ...
    @property
    def loss(self) -> CompiledLoss | None: ...
    def __init__(self, engine: Engine, loss: CompiledLoss | None, targets: str) -> None: ...
    def apply(self) -> None: ...
    def run(
        self,
        x: np.ndarray,
        y: np.ndarray | None,
        label: np.ndarray | None,
        weight: np.ndarray | None,
        order: np.ndarray | None,
        batch_size: int,
        rates: np.ndarray | None,
        progress: Callable[[int, float], Any] | None,
    ) -> float: ...
    def run_on_ranks(
        self,
        x: np.ndarray,
        y: np.ndarray | None,
        label: np.ndarray | None,
        weight: np.ndarray | None,
        order: np.ndarray | None,
        starts: np.ndarray,
        total_weights: np.ndarray,
        rates: np.ndarray | None,
        progress: Callable[[int, float], Any] | None,
        ranks: Any,
        norms: Any,
    ) -> float: ...
    def try_step(self, x: Any, y: Any) -> float | None: ...

class CompiledHandle:
    @property
    def address(self) -> int: ...
    @property
    def functions(self) -> dict[str, int]: ...
    @property
    def capsule(self) -> Any: ...
    def __init__(self, engine: Engine, own: Engine, max_rows: int, categories: np.ndarray) -> None: ...
    def add_trainer(
        self,
        trainer: CompiledTrainer,
        lowest: float,
        highest: float,
        class_weight: np.ndarray | None,
        scheduled: bool,
        rates: np.ndarray | None,
    ) -> None: ...

def pin(array: Any) -> Any: ...
def handle_error(code: int) -> str: ...
def allocations() -> int: ...
def run_ensemble(
    trainers: list[CompiledTrainer],
    x: np.ndarray,
    y: np.ndarray | None,
    label: np.ndarray | None,
    weights: list[np.ndarray | None],
    orders: list[np.ndarray | None],
    batch_size: int,
    rates: list[np.ndarray | None],
) -> list[float]: ...
def cpu_name() -> str: ...
def interrupt_checks() -> int: ...
def get_num_threads() -> int: ...
def isas() -> dict[str, bool]: ...
def kernel_addresses(isa: str, dtype: str) -> dict[str, int]: ...
def memory_size() -> int: ...
def names(kind: str) -> list[str]: ...
def activation_saves(activation: int) -> str: ...
def cache_sizes() -> tuple[int, int]: ...
def set_cache_sizes(l1: int, l2: int) -> None: ...
def scratch(rows: int, n_in: int, n_out: int, itemsize: int) -> int: ...
def select_isa(name: str | None = None) -> str: ...
def serving_isa() -> str: ...
def set_interrupt_interval(seconds: float) -> float: ...
def set_num_threads(n: int) -> None: ...
def shuffle(order: np.ndarray, seed: int, step: int) -> None: ...
def squares_size(n_parameters: int) -> int: ...
def signatures() -> list[tuple[str, str, str]]: ...
