"""Every worked example runs as a reader runs it: as a script, in a process of its own."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from shared_data import DATA

EXAMPLES = Path(__file__).parents[2] / "examples"
RECORDED = EXAMPLES.parent / "docs" / "outputs"

# What each part of an example must print: a line, or a number.
EXPECTED = {
    "01_linear_neuron.py": [
        r"dL/dw0 = \(a - y\) x0 +-5\.5000000 +-5\.5000000\n",
        r"dL/dw1 = \(a - y\) x1 +-8\.2500000 +-8\.2500000\n",
        r"dL/db  = \(a - y\) +-2\.7500000 +-2\.7500000\n",
        r"C      = 1/m sum 1/2 \(a - y\)\^2 +1\.1484375 +1\.1484375\n",
    ],
    "02_two_layer_relu.py": [
        r"dC/dW2 = 1/m a1\^T \(a2 - y\)",
        r"dC/dW1 = 1/m x\^T dL/dz1",
        r"dC/db1 = 1/m sum dL/dz1",
        r"agrees to 12 digits",
    ],
    "03_two_passes.py": [
        r"dL/dW3 [\s\S]*dL/db3 [\s\S]*dL/dW1 [\s\S]*dL/db1 ",
        r"12 layers, 144 parameters: the same numbers",
        r"the same gradient, to 6 digits",
    ],
    "04_gradient_descent.py": [
        r"theta\(1\) = theta\(0\) - eta grad C\(theta\(0\)\)",
        r"theta\(300\) ",
        r"after 300 steps: \d\.\de-(0[89]|1\d)\n",
    ],
    "05_sigmoid_chain.py": [
        r"dL/dW3 = a2 g'\(z3\) 2 \(a3 - y\) +-0\.0737867 +-0\.0737867\n",
        r"dL/db3 =    g'\(z3\) 2 \(a3 - y\) +-0\.1702777 +-0\.1702777\n",
        r"mean over m = 5 rows",
        r"agrees to 12 digits",
    ],
    "06_mnist.py": [r"epoch 10 +cost 0\.\d+ +test accuracy 0\.9\d+\n", r"the goal was 0\.955"],
    "07_mnist_recipe.py": [r"epoch 40 +rate 0\.0000 +cost 0\.\d+ +test accuracy 0\.97\d+\n", r"the goal was 0\.972"],
    "08_housing.py": [r"epoch 40 +cost 0\.\d+ +test RMSE 4[45],\d+ dollars\n", r"the goal was 46,256"],
}
WITH_DATA = [name for name in EXPECTED if "mnist" in name or "housing" in name]


def run(name, *arguments):
    return subprocess.run(
        [sys.executable, "-W", "error", EXAMPLES / name, *arguments],
        capture_output=True,
        text=True,
        timeout=600,
        env={**os.environ, "PYTHONIOENCODING": "utf-8"},
    )


def test_every_example_is_expected():
    assert {path.name for path in EXAMPLES.glob("[0-9]*.py")} == set(EXPECTED)


# The two on MNIST train for a minute on a slow machine.
EACH = [pytest.param(name, marks=pytest.mark.exhaustive(alone=True) if "mnist" in name else ()) for name in EXPECTED]


@pytest.mark.parametrize("name", EACH)
def test_example(name):
    if name in WITH_DATA and not DATA.is_dir():
        pytest.skip(f"no {DATA}: MNIST and housing are too large to ship")
    done = run(name)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    for line in EXPECTED[name]:
        assert re.search(line, done.stdout), f"no {line!r} in\n{done.stdout}"
    if name in WITH_DATA:  # the gallery shows what these printed once; digits depend on the kernels
        recorded = (RECORDED / name).with_suffix(".txt").read_text(encoding="utf-8")
        assert re.sub(r"\d", "0", recorded) == re.sub(r"\d", "0", done.stdout)


def test_mnist_without_its_data_says_what_to_do(tmp_path):
    done = run("06_mnist.py", tmp_path)
    assert done.returncode == 1
    assert "no t10k-images-idx3-ubyte.gz and t10k-labels-idx1-ubyte.gz in" in done.stderr
    assert "give their folder" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_example_stops_at_a_wrong_number():
    """The helper that prints both sides also asserts, so that one wrong digit must end the script."""
    wrong = "from check import check; check('dL/db', 1.0, 1.0 + 1e-10)"
    done = subprocess.run(
        [sys.executable, "-c", wrong], cwd=EXAMPLES, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 1
    assert "AssertionError" in done.stderr
    assert "dL/db" in done.stderr
