"""TabM: many networks that share their weights, each with scales of its own, trained at once.

Gorishniy, Kotelnikov and Babenko 2024, *TabM: advancing tabular deep learning with parameter-efficient ensembling*; the
scales are those of Wen, Tran and Ba 2020, *BatchEnsemble*. A member's layer is ((x * r) W) * s + b, with its own r, s
and b and the common W; its last layer is all its own. r of the first layer starts at +1 and -1 by chance, every other
scale at 1.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from fastprop.nn.layers import Activation, Dense, Dropout, Layer, activated, chain
from fastprop.nn.operations import Operation, merged


def operations(n_inputs: int, layers: Sequence[Layer], members: int) -> list[Operation]:
    """What the engine does for `members` networks of these layers; the first may read the columns of X for them all.

    Raises
    ------
    ValueError
        If a layer has no such form.
    """
    count = 1 if layers[0].first_only else 0
    common = chain(n_inputs, layers[:count], first=True)
    n_in = common[-1].n_out if common else n_inputs
    result = [*common, Operation("repeat", members * n_in, fields={"n_groups": members})]
    products = [place for place, layer in enumerate(layers) if isinstance(layer, Dense)]
    for place, layer in enumerate(layers[count:], start=count):
        n = result[-1].n_out
        if isinstance(layer, (Dropout, Activation)):
            result += layer.operations(n)
        elif not isinstance(layer, Dense):
            raise ValueError(
                f"members={members} takes Dense, Dropout and Activation layers after the first, got "
                f"{type(layer).__name__}; use fp.Ensemble for members of other layers"
            )
        elif place == products[-1]:
            result += layer.product(n, n_groups=members)
        else:
            result += _shared(layer, n, members, place == products[0], first=place == 0)
    return merged(result)


def _shared(layer: Dense, n: int, members: int, first_product: bool, *, first: bool) -> list[Operation]:
    """((x * r) W) * s + b for every member."""

    def signs(generator):
        return generator.choice([-1.0, 1.0], n)

    r = Operation("scale", n, weight=(n,), draw=signs if first_product else None)
    groups: dict[str, Any] = {"first": first, "n_groups": members, "shared_weights": True}
    product = replace(layer, bias=False, activation="identity").product(n, **groups)
    # the weights start as the layer's own activation asks for
    product[0] = replace(product[0], draw=layer.product(n, **groups)[0].draw)
    n_out = members * layer.n_outputs
    s = Operation("scale", n_out, weight=(n_out,), n_biases=n_out if layer.bias else 0)
    return [r, *product, *activated(s, layer.activation)]


def mean(outputs: np.ndarray, members: int) -> np.ndarray:
    """The mean of the members' outputs, each row of which holds them one after the other."""
    return outputs.reshape(*outputs.shape[:-1], members, -1).mean(axis=-2, dtype=outputs.dtype)
