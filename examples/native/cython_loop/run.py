"""Identify a plant online with plant.pyx.

    pip install fastprop-nn Cython setuptools
    python setup.py build_ext --inplace
    python run.py
"""

import time

import numpy as np
from plant import identify

import fastprop as fp

net = fp.Network([2, 32, 32, 1], activation="tanh", dtype="float64", seed=0)
trainer = fp.Trainer(net, loss="half_mse", optimizer=fp.Adam(0.001))
inputs = np.random.default_rng(0).uniform(-2, 2, 100_000)
errors = np.empty_like(inputs)

begin = time.perf_counter()
identify(trainer.native().capsule, inputs, errors)
seconds = time.perf_counter() - begin
print(f"{trainer.steps:,} samples, {1e6 * seconds / trainer.steps:.2f} microseconds each: a prediction and a step")
print(f"root mean squared error of the first 1,000 predictions: {errors[:1000].mean() ** 0.5:.4f}")
print(f"root mean squared error of the last 1,000 predictions:  {errors[-1000:].mean() ** 0.5:.4f}")
