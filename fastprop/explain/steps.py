"""The steps of the two passes: what each computes, in which order."""

from fastprop.explain.trace import Trace
from fastprop.nn.operations import sources


def steps(t: Trace, end: str) -> list[tuple[str, str]]:
    """Return the title and the formula of each step of both passes.

    Parameters
    ----------
    t : Trace
    end : str
        What is differentiated: "L", the loss of one row, or "C", the cost, a mean over rows.
    """
    n, found = len(t.layers), [("Inputs and parameters", "what is given: x, W and b")]
    read = [[source + 1 for source in each] for each in sources(t.network.operations)]  # layers from 1 on, 0 for x
    inputs = [" | ".join(f"a{source}" if source else "x" for source in each) for each in read]
    for k, layer in enumerate(t.layers, start=1):
        below = inputs[k - 1]
        product = f"z{k} = {below} W{k} + b{k}" if layer.b is not None else f"z{k} = {below} W{k}"
        if layer.operation.kind != "dense":
            product = f"z{k} = {layer.name} of {below}"
        found.append((f"Forward: z{k}", product))
        found.append((f"Forward: a{k}", f"a{k} = g(z{k}), g(z) = {layer.operation.activation.formula}"))
    found.append(("The loss L of the row" if end == "L" else "The losses and the cost C", _of_loss(t, end)))
    for k in range(n, 0, -1):
        layer = t.layers[k - 1]
        above = [t.loss.derivative if end == "L" else f"({t.loss.derivative}) times the row's share of the mean"]
        if k < n:
            above = [
                f"d{end}/dz{reader} W{reader}^T"
                if t.layers[reader - 1].operation.kind == "dense"
                else f"d{end}/dz{reader} through {t.layers[reader - 1].name}"
                for reader in (number for number, each in enumerate(read, start=1) if k in each)
            ]
        found.append((f"Backward: d{end}/da{k}", f"d{end}/da{k} = {' + '.join(above)}"))
        slope = layer.operation.activation.derivative
        found.append((f"Backward: d{end}/dz{k}", f"d{end}/dz{k} = d{end}/da{k} g'(z{k}), g'(z) = {slope}"))
        text = f"d{end}/dW{k} = {inputs[k - 1]}^T d{end}/dz{k}"
        if layer.b is not None:
            text += f", d{end}/db{k} = {'' if end == 'L' else 'sum over rows of '}d{end}/dz{k}"
        found.append((f"Backward: the gradient of layer {k}", text if layer.W is not None else "no parameters"))
    readers = [number for number, each in enumerate(read, start=1) if 0 in each]
    through = f"d{end}/dx, through layer{'s' if len(readers) > 1 else ''} {' and '.join(map(str, readers))}"
    dense = t.layers[0].operation.kind == "dense" and len(readers) == 1
    found.append((f"Backward: d{end}/dx", f"d{end}/dx = d{end}/dz1 W1^T" if dense else through))
    return found


def _of_loss(t: Trace, end: str) -> str:
    members = f", the mean over {t.network.n_members} members" if t.network.n_members > 1 else ""
    mean = "" if end == "L" else f"; C is the {'' if t.sample_weight is None else 'weighted '}mean over the rows"
    return f"L = {t.loss.formula}, with a = a{len(t.layers)} ({t.loss.name}){members}{mean}"


def step_of(what: str, k: int, n: int) -> int:
    """Return the step that computes z, a, L, da, dz or dW of layer k of n layers; dx comes last."""
    if what in ("z", "a"):
        return 2 * k - (what == "z")
    if what in ("L", "dx"):
        return 2 * n + 1 + (3 * n + 1 if what == "dx" else 0)
    return 2 * n + 2 + 3 * (n - k) + ("da", "dz", "dW").index(what)
