"""Modules that ``torch.nn`` does not have, for ``to_torch``. Imported only where PyTorch is used."""

import math
from typing import Any

import torch
from torch import Tensor, nn

from fastprop._util.public import defined_in, publish
from fastprop.nn import formulas


class _Functions(formulas.Target):
    """PyTorch's functions of tensors, for ``formulas.evaluate``."""

    exp, expm1 = staticmethod(torch.exp), staticmethod(torch.expm1)
    log, log1p = staticmethod(torch.log), staticmethod(torch.log1p)
    abs, sqrt, erfc = staticmethod(torch.abs), staticmethod(torch.sqrt), staticmethod(torch.erfc)
    sin, cos, tanh = staticmethod(torch.sin), staticmethod(torch.cos), staticmethod(torch.tanh)
    sigmoid = staticmethod(torch.sigmoid)

    def where(self, condition: Tensor, x: Any, y: Any) -> Tensor:
        """Select element by element."""
        return torch.where(condition, x, y)

    def max(self, x: Tensor, y: float) -> Tensor:
        """Return the larger of the two, element by element."""
        return x.clamp(min=y)

    def min(self, x: Tensor, y: float) -> Tensor:
        """Return the smaller of the two, element by element."""
        return x.clamp(max=y)


class Activation(nn.Module):
    """An activation that ``torch.nn`` does not have, computed by its formula.

    Parameters
    ----------
    name : str
        A name of ``fastprop.activations.ACTIVATIONS``.
    hyperparameters : dict
        The value of each hyperparameter by its name.
    """

    def __init__(self, name: str, hyperparameters: dict[str, float]):
        super().__init__()
        self.name, self.hyperparameters = name, dict(hyperparameters)

    def forward(self, z: Tensor) -> Tensor:
        """Return g(z)."""
        return _Functions().activation(self.name, z, self.hyperparameters)

    def extra_repr(self) -> str:
        """Return the name and the hyperparameters, for the repr."""
        return ", ".join([self.name, *(f"{name}={value}" for name, value in self.hyperparameters.items())])


class Scale(nn.Module):
    """x * weight + bias."""

    def __init__(self, weight: Tensor, bias: Tensor | None):
        super().__init__()
        self.weight = nn.Parameter(weight)
        self.bias = None if bias is None else nn.Parameter(bias)

    def forward(self, x: Tensor) -> Tensor:
        """Return x * weight + bias."""
        y = x * self.weight
        return y if self.bias is None else y + self.bias


class Residual(nn.Module):
    """x + block(x)."""

    def __init__(self, block: nn.Sequential):
        super().__init__()
        self.block = block

    def forward(self, x: Tensor) -> Tensor:
        """Return x + block(x)."""
        return x + self.block(x)


class SharedWeights(nn.Module):
    """Split each row into groups of equal width, and apply the same module to each group.

    Parameters
    ----------
    module : torch.nn.Module
    n_groups : int
    """

    def __init__(self, module: nn.Module, n_groups: int):
        super().__init__()
        self.module, self.n_groups = module, n_groups

    def forward(self, x: Tensor) -> Tensor:
        """Return the outputs of the groups, one after the other."""
        return self.module(x.unflatten(-1, (self.n_groups, -1))).flatten(-2)


class Groups(nn.Module):
    """Split each row into groups, and apply a linear layer of its own to each group."""

    def __init__(self, modules: list[nn.Linear]):
        super().__init__()
        self.groups = nn.ModuleList(modules)
        self.widths = [module.in_features for module in modules]

    def forward(self, x: Tensor) -> Tensor:
        """Return the outputs of the groups, one after the other."""
        return torch.cat([module(group) for module, group in zip(self.groups, x.split(self.widths, -1))], -1)


class Repeat(nn.Module):
    """Repeat each row `copies` times."""

    def __init__(self, copies: int):
        super().__init__()
        self.copies = copies

    def forward(self, x: Tensor) -> Tensor:
        """Return the copies of a row, one after the other."""
        return torch.cat([x] * self.copies, -1)


class MeanOfMembers(nn.Module):
    """Average the outputs of a network's members."""

    def __init__(self, members: int):
        super().__init__()
        self.members = members

    def forward(self, x: Tensor) -> Tensor:
        """Return the mean over members."""
        return x.unflatten(-1, (self.members, -1)).mean(-2)


class Select(nn.Module):
    """Select some columns of each row."""

    def __init__(self, columns: list[int]):
        super().__init__()
        self.columns = columns

    def forward(self, x: Tensor) -> Tensor:
        """Return the columns."""
        return x[..., self.columns]

    def extra_repr(self) -> str:
        """Return the columns, for the repr."""
        return str(self.columns)


class ByColumn(nn.Module):
    """Apply several modules to the same rows, each of which begins with a ``Select``."""

    def __init__(self, branches: list[nn.Sequential]):
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, x: Tensor) -> Tensor:
        """Return the outputs of the branches, one after the other."""
        return torch.cat([branch(x) for branch in self.branches], -1)


class Embeddings(nn.Module):
    """Replace each column of categories by a row of its table; the other columns come first."""

    def __init__(self, n_inputs: int, columns: list[int], tables: list[Tensor]):
        super().__init__()
        self.columns = columns
        self.passed = [column for column in range(n_inputs) if column not in columns]
        self.tables = nn.ModuleList([nn.Embedding.from_pretrained(table, freeze=False) for table in tables])

    def forward(self, x: Tensor) -> Tensor:
        """Return the other columns, and then the rows of the tables."""
        rows = [table(x[..., column].long()) for column, table in zip(self.columns, self.tables)]
        return torch.cat([x[..., self.passed], *rows], -1)


class PiecewiseLinear(nn.Module):
    """Encode each column piecewise linearly, as ``fastprop.PiecewiseLinear`` does."""

    edges: Tensor

    def __init__(self, edges: list[Tensor]):
        super().__init__()
        self.n_bins = [len(each) - 1 for each in edges]
        self.register_buffer("edges", torch.cat(edges))

    def forward(self, x: Tensor) -> Tensor:
        """Return the encoding."""
        encoded = []
        for value, edges in zip(x.unbind(-1), torch.split(self.edges, [n + 1 for n in self.n_bins])):
            bins = (value.unsqueeze(-1) - edges[:-1]) / (edges[1:] - edges[:-1])
            # The first bin has no lower bound, and the last one no upper bound.
            lower, upper = torch.zeros_like(edges[1:]), torch.ones_like(edges[1:])
            lower[0], upper[-1] = -math.inf, math.inf
            encoded.append(torch.minimum(torch.maximum(bins, lower), upper))
        return torch.cat(encoded, -1)


class Periodic(nn.Module):
    """Encode each column x as cos(2 pi f x) and sin(2 pi f x), with learned frequencies f."""

    def __init__(self, frequencies: Tensor):
        super().__init__()
        self.frequencies = nn.Parameter(frequencies)

    def forward(self, x: Tensor) -> Tensor:
        """Return the cosines and the sines of each column."""
        angle = 2 * math.pi * self.frequencies * x.unsqueeze(-1)
        return torch.cat([angle.cos(), angle.sin()], -1).flatten(-2)


publish(globals(), defined_in(globals()), prefix="Torch")
