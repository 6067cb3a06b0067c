"""TabM: an ensemble of networks that share their weights, where each member has its own scales.

Gorishniy, Kotelnikov and Babenko 2024, *TabM: advancing tabular deep learning with parameter-efficient ensembling*; the
scales are those of Wen, Tran and Ba 2020, *BatchEnsemble*. A layer of a member is ((x * r) W) * s + b. Members share W;
each has its own r, s and b, and its own last layer. In the first layer r starts at +1 or -1, drawn at random; all other
scales start at 1.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from fastprop.nn.layers import Activation, Dense, Dropout, Layer, activated, chain
from fastprop.nn.operations import Operation, merged


def operations(n_inputs: int, layers: Sequence[Layer], members: int) -> list[Operation]:
    """Return the operations for `members` networks of these layers; see ``of_layers``."""
    return merged([operation for each in of_layers(n_inputs, layers, members) for operation in each])


def of_layers(n_inputs: int, layers: Sequence[Layer], members: int) -> list[list[Operation]]:
    """Return for each layer its operations in `members` networks.

    If the first layer reads the columns of X, it is computed once for all members.

    Raises
    ------
    ValueError
        If a layer after the first is not a ``Dense``, ``Dropout`` or ``Activation`` layer.
    """
    count = 1 if layers[0].first_only else 0
    common = chain(n_inputs, layers[:count], first=True)
    n_in = common[-1].n_out if common else n_inputs
    repeat = Operation("repeat", members * n_in, fields={"n_groups": members})
    result = [[*common, repeat]] if count else []
    n = repeat.n_out
    products = [place for place, layer in enumerate(layers) if isinstance(layer, Dense)]
    for place, layer in enumerate(layers[count:], start=count):
        if isinstance(layer, (Dropout, Activation)):
            found = layer.operations(n)
        elif not isinstance(layer, Dense):
            raise ValueError(
                f"members={members} takes Dense, Dropout and Activation layers after the first, got "
                f"{type(layer).__name__}; use fp.Ensemble for members of other layers"
            )
        elif place == products[-1]:
            found = layer.product(n, n_groups=members)
        else:
            found = _shared(layer, n, members, place == products[0], first=place == 0)
        n = found[-1].n_out if found else n
        result.append(found if result else [repeat, *found])
    return result


def _shared(layer: Dense, n: int, members: int, first_product: bool, *, first: bool) -> list[Operation]:
    """Return the operations of ((x * r) W) * s + b for every member."""

    def signs(generator):
        return generator.choice([-1.0, 1.0], n)

    r = Operation("scale", n, weight=(n,), draw=signs if first_product else None)
    groups: dict[str, Any] = {"first": first, "n_groups": members, "shared_weights": True}
    product = replace(layer, bias=False, activation="identity").product(n, **groups)
    # The activation follows the second scale, but it determines the initial weights of the product.
    product[0] = replace(product[0], draw=layer.product(n, **groups)[0].draw)
    n_out = members * layer.n_outputs
    s = Operation("scale", n_out, weight=(n_out,), n_biases=n_out if layer.bias else 0)
    return [r, *product, *activated(s, layer.activation)]


def mean(outputs: np.ndarray, members: int) -> np.ndarray:
    """Return the mean over members of outputs (..., members * n_outputs), one member after the other."""
    return outputs.reshape(*outputs.shape[:-1], members, -1).mean(axis=-2, dtype=outputs.dtype)
