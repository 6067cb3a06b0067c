"""The compiled engine, as type checkers see it; ``_engine.pyx`` explains."""

import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

HYPER: int
KINDS: dict[str, int]

class Buffer:
    def __init__(self, array: np.ndarray | None, writable: bool = False) -> None: ...

class Engine:
    @property
    def isa(self) -> str: ...
    @property
    def rows_kept(self) -> int: ...
    @property
    def used_elsewhere(self) -> bool: ...
    @property
    def mine(self) -> threading.local: ...
    gradient: np.ndarray
    swapped: bool
    def exclusive(self) -> Exclusive: ...
    def still(self) -> Exclusive: ...
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
    def forward_keep(
        self, x: np.ndarray, out: np.ndarray, training: bool = False, seed: int = 0, step: int = 0
    ) -> None: ...
    def backward(self, dy: np.ndarray, dx: np.ndarray) -> bool: ...
    def jacobian(self, x: np.ndarray, dx: np.ndarray, out: np.ndarray) -> None: ...
    def each_gradient(
        self,
        x: np.ndarray,
        y: np.ndarray | None,
        label: np.ndarray | None,
        objective: Objective,
        gradients: np.ndarray,
    ) -> None: ...
    def cost(
        self,
        x: np.ndarray,
        y: np.ndarray | None,
        label: np.ndarray | None,
        weight: np.ndarray | None,
        objective: Objective,
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
        objective: Objective,
        training: bool = False,
        seed: int = 0,
        step: int = 0,
    ) -> tuple[list[dict[str, np.ndarray]], np.ndarray, np.ndarray, np.ndarray]: ...
    def forward_if_ready(self, x: Any) -> np.ndarray | None: ...
    def all_finite(self, x: np.ndarray) -> bool: ...

class Exclusive:
    def __init__(self, engine: Engine, still: bool) -> None: ...
    def __enter__(self) -> None: ...
    def __exit__(self, *args: object) -> None: ...

class Objective:
    def __init__(self, number: int, hyper: tuple[float, ...], n_targets: int) -> None: ...

class Optimizer:
    rate: float
    def __init__(
        self,
        number: int,
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

class Descent:
    optimizer: Optimizer
    steps: int
    seed: int
    @property
    def engine(self) -> Engine: ...
    @property
    def objective(self) -> Objective | None: ...
    def __init__(self, engine: Engine, objective: Objective | None, targets: str) -> None: ...
    def apply(self) -> None: ...
    def run(
        self,
        x: np.ndarray,
        y: np.ndarray | None,
        label: np.ndarray | None,
        weight: np.ndarray | None,
        order: np.ndarray | None,
        batch: int,
        rates: np.ndarray | None,
        progress: Callable[[int, float], Any] | None,
    ) -> float: ...
    def step_if_ready(self, x: Any, y: Any) -> float | None: ...

def allocations() -> int: ...
def run_together(
    descents: list[Descent],
    x: np.ndarray,
    y: np.ndarray | None,
    label: np.ndarray | None,
    weights: list[np.ndarray | None],
    orders: list[np.ndarray | None],
    batch: int,
    rates: list[np.ndarray | None],
) -> list[float]: ...
def cpu_name() -> str: ...
def interrupt_checks() -> int: ...
def get_num_threads() -> int: ...
def isas() -> dict[str, bool]: ...
def kernel_addresses(isa: str, dtype: str) -> dict[str, int]: ...
def memory_size() -> int: ...
def names(kind: str) -> list[str]: ...
def keeps(activation: int) -> str: ...
def scratch(rows: int, n_in: int, n_out: int, itemsize: int) -> int: ...
def select_isa(name: str | None = None) -> str: ...
def serving_isa() -> str: ...
def set_interrupt_interval(seconds: float) -> float: ...
def set_num_threads(n: int) -> None: ...
def shuffle(order: np.ndarray, seed: int, step: int) -> None: ...
def squares_size(n_parameters: int) -> int: ...
def signatures() -> list[tuple[str, str, str]]: ...
