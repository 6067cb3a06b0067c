"""Evaluates the formulas of activations and losses, which are Python expressions, with the functions of a target.

A formula has numbers, names, arithmetic, ``x if condition else y`` where the condition is a comparison, and calls. It
may end with definitions, as in ``z * tanh(t), with t = log1p(exp(z))``; a definition may use those after it. A call
names a function of the target, such as ``exp``, or an activation of the list, as in ``z * sigmoid(z)``. The targets are
NumPy (``explain/numpy_ops.py``), C (``interop/c_templates.py``), ONNX (``interop/onnx.py``) and PyTorch
(``interop/torch_modules.py``).
"""

import ast
import math
import operator
import re
from collections.abc import Callable, Mapping
from functools import cache, reduce
from typing import Any

from fastprop.nn.activations import ACTIVATIONS

BINARY: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
SIGNS = {ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">="}
COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}

_parsed = cache(lambda text: ast.parse(text, mode="eval").body)


class Target:
    """The operations with which a formula is evaluated. Its values have the operators + - * / themselves.

    Conditions are compared by the values' own operators, and combined by &, unless a subclass does it otherwise.

    A formula that calls ``exp(x)`` calls the method ``exp``, which a subclass adds, like all other functions.
    """

    def compare(self, sign: str, x: Any, y: Any) -> Any:
        """Return the condition x < y, x <= y, x > y or x >= y; `sign` is the operator."""
        return COMPARISONS[sign](x, y)

    def both(self, x: Any, y: Any) -> Any:
        """Return the condition that both conditions hold."""
        return x & y

    def where(self, condition: Any, x: Any, y: Any) -> Any:
        """Return x where the condition holds, else y."""
        raise NotImplementedError

    def power(self, x: Any, y: Any) -> Any:
        """Return x to the power of y, if that is not a small product."""
        return x**y

    def activation(self, name: str, z: Any, hyperparameters: Mapping[str, Any]) -> Any:
        """Return g(z) of an activation of the list."""
        return evaluate(ACTIVATIONS[name].expression, self, {"z": z, **hyperparameters})


def evaluate(formula: str, target: Target, names: Mapping[str, Any]) -> Any:
    """Evaluate a formula with the functions of a target and values for its names.

    Operations of Python numbers alone are computed here, in float64. Powers of 2 and 3 are products.

    Raises
    ------
    ValueError
        If the formula has an unknown name or function, or an expression of another kind.
    """
    text, *definitions = re.split(r", (?:with )?(?=\w+ = )", formula)
    known = {"pi": math.pi, **names}
    for definition in reversed(definitions):
        name, _, value = definition.partition(" = ")
        known[name] = _value(_parsed(value), target, known)
    return _value(_parsed(text), target, known)


def _value(node: ast.expr, target: Target, known: Mapping[str, Any]) -> Any:
    def of(child: ast.expr) -> Any:
        return _value(child, target, known)

    match node:
        case ast.Constant(value=int() | float() as number):
            return number
        case ast.Name(id=name) if name in known:
            return known[name]
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -of(operand)
        case ast.BinOp(left=left, op=ast.Pow(), right=right):
            return _power(target, of(left), of(right))
        case ast.BinOp(left=left, op=sign, right=right) if type(sign) in BINARY:
            return BINARY[type(sign)](of(left), of(right))
        case ast.IfExp(test=ast.Compare(left=left, ops=signs, comparators=others), body=body, orelse=otherwise):
            values = [of(left), *map(of, others)]
            compared = [
                target.compare(SIGNS[type(sign)], x, y) for x, sign, y in zip(values, signs, values[1:])
            ]
            return target.where(reduce(target.both, compared), of(body), of(otherwise))
        case ast.Call(func=ast.Name(id=name), args=arguments):
            return _call(name, target, [of(each) for each in arguments])
        case ast.Tuple(elts=parts):
            return tuple(of(each) for each in parts)
    raise ValueError(f"a formula cannot have {ast.unparse(node)!r}; {__name__} says what it may have")


def _power(target: Target, x: Any, y: Any) -> Any:
    if isinstance(x, int | float) and isinstance(y, int | float):
        return x**y
    return math.prod([x] * (y - 1), start=x) if isinstance(y, int) and y in (2, 3) else target.power(x, y)


def _call(name: str, target: Target, arguments: list[Any]) -> Any:
    if all(isinstance(each, int | float) for each in arguments):
        return getattr(math, name)(*arguments)
    if hasattr(target, name):
        return getattr(target, name)(*arguments)
    if name in ACTIVATIONS:
        z, *given = arguments
        listed = ACTIVATIONS[name].values
        return target.activation(name, z, {**listed, **dict(zip(listed, given))})
    raise ValueError(f"{type(target).__name__} has no function {name}; add it as a method, or use another function")
