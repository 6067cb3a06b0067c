"""The modules that ``torch.nn`` has not. Imported only where PyTorch is used."""

import math
import operator
from typing import Any

import torch
from torch import Tensor, nn

from fastprop._util.public import defined_in, publish
from fastprop.nn import formulas


class _Functions(formulas.Target):
    """Functions of tensors, for ``formulas.evaluate``."""

    exp, expm1 = staticmethod(torch.exp), staticmethod(torch.expm1)
    log, log1p = staticmethod(torch.log), staticmethod(torch.log1p)
    abs, sqrt, erfc = staticmethod(torch.abs), staticmethod(torch.sqrt), staticmethod(torch.erfc)
    sin, cos, tanh = staticmethod(torch.sin), staticmethod(torch.cos), staticmethod(torch.tanh)
    sigmoid = staticmethod(torch.sigmoid)

    def compare(self, sign: str, x: Any, y: Any) -> Any:
        """Element by element."""
        return {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}[sign](x, y)

    def both(self, x: Tensor, y: Tensor) -> Tensor:
        """Element by element."""
        return x & y

    def where(self, condition: Tensor, x: Any, y: Any) -> Tensor:
        """Element by element."""
        return torch.where(condition, x, y)

    def max(self, x: Tensor, y: float) -> Tensor:
        """The larger of both."""
        return x.clamp(min=y)

    def min(self, x: Tensor, y: float) -> Tensor:
        """The smaller of both."""
        return x.clamp(max=y)


class Activation(nn.Module):
    """An activation that ``torch.nn`` has not, computed by its formula.

    Parameters
    ----------
    name : str
        As in ``fastprop.activations``.
    hyperparameters : dict
        The value of each.
    """

    def __init__(self, name: str, hyperparameters: dict[str, float]):
        super().__init__()
        self.name, self.hyperparameters = name, dict(hyperparameters)

    def forward(self, z: Tensor) -> Tensor:
        """The activation."""
        return _Functions().activation(self.name, z, self.hyperparameters)

    def extra_repr(self) -> str:
        """What its repr says."""
        return ", ".join([self.name, *(f"{name}={value}" for name, value in self.hyperparameters.items())])


class Scale(nn.Module):
    """x * weight + bias."""

    def __init__(self, weight: Tensor, bias: Tensor | None):
        super().__init__()
        self.weight = nn.Parameter(weight)
        self.bias = None if bias is None else nn.Parameter(bias)

    def forward(self, x: Tensor) -> Tensor:
        """The products."""
        y = x * self.weight
        return y if self.bias is None else y + self.bias


class Residual(nn.Module):
    """x + block(x)."""

    def __init__(self, block: nn.Sequential):
        super().__init__()
        self.block = block

    def forward(self, x: Tensor) -> Tensor:
        """The sum."""
        return x + self.block(x)


class Shared(nn.Module):
    """One module applied to each of the pieces, of equal width, that a row falls into."""

    def __init__(self, module: nn.Module, pieces: int):
        super().__init__()
        self.module, self.pieces = module, pieces

    def forward(self, x: Tensor) -> Tensor:
        """Their outputs, one after the other."""
        return self.module(x.unflatten(-1, (self.pieces, -1))).flatten(-2)


class Pieces(nn.Module):
    """To each piece of a row its own module."""

    def __init__(self, modules: list[nn.Linear]):
        super().__init__()
        self.pieces = nn.ModuleList(modules)
        self.widths = [module.in_features for module in modules]

    def forward(self, x: Tensor) -> Tensor:
        """Their outputs, one after the other."""
        return torch.cat([module(piece) for module, piece in zip(self.pieces, x.split(self.widths, -1))], -1)


class Repeat(nn.Module):
    """A row, several times."""

    def __init__(self, pieces: int):
        super().__init__()
        self.pieces = pieces

    def forward(self, x: Tensor) -> Tensor:
        """The copies, one after the other."""
        return torch.cat([x] * self.pieces, -1)


class MeanOfMembers(nn.Module):
    """The mean of the outputs of a network's members."""

    def __init__(self, members: int):
        super().__init__()
        self.members = members

    def forward(self, x: Tensor) -> Tensor:
        """The mean."""
        return x.unflatten(-1, (self.members, -1)).mean(-2)


class Embeddings(nn.Module):
    """Columns that hold categories become rows of tables, after the other columns."""

    def __init__(self, n_inputs: int, columns: list[int], tables: list[Tensor]):
        super().__init__()
        self.columns = columns
        self.passed = [column for column in range(n_inputs) if column not in columns]
        self.tables = nn.ModuleList([nn.Embedding.from_pretrained(table, freeze=False) for table in tables])

    def forward(self, x: Tensor) -> Tensor:
        """The other columns, and the rows."""
        rows = [table(x[..., column].long()) for column, table in zip(self.columns, self.tables)]
        return torch.cat([x[..., self.passed], *rows], -1)


class PiecewiseLinear(nn.Module):
    """Each column in piecewise-linear encoding, see ``fastprop.PiecewiseLinear``."""

    edges: Tensor

    def __init__(self, edges: list[Tensor]):
        super().__init__()
        self.n_bins = [len(each) - 1 for each in edges]
        self.register_buffer("edges", torch.cat(edges))

    def forward(self, x: Tensor) -> Tensor:
        """The encoding."""
        encoded = []
        for value, edges in zip(x.unbind(-1), torch.split(self.edges, [n + 1 for n in self.n_bins])):
            bins = (value.unsqueeze(-1) - edges[:-1]) / (edges[1:] - edges[:-1])
            # the outer bins go on
            lower, upper = torch.zeros_like(edges[1:]), torch.ones_like(edges[1:])
            lower[0], upper[-1] = -math.inf, math.inf
            encoded.append(torch.minimum(torch.maximum(bins, lower), upper))
        return torch.cat(encoded, -1)


class Periodic(nn.Module):
    """cos(2 pi f x), sin(2 pi f x) of each column."""

    def __init__(self, frequencies: Tensor):
        super().__init__()
        self.frequencies = nn.Parameter(frequencies)

    def forward(self, x: Tensor) -> Tensor:
        """The waves."""
        angle = 2 * math.pi * self.frequencies * x.unsqueeze(-1)
        return torch.cat([angle.cos(), angle.sin()], -1).flatten(-2)


publish(globals(), defined_in(globals()), prefix="Torch")
