"""Learn the value of cart-pole states by TD(0), in a loop that Numba compiles: two outputs and one step per time step.

    pip install fastprop-nn numba
    python numba_loop.py

A linear controller balances the pole, disturbed by noise. V(s) is what a run from s earns, later rewards counting less.
Each time step moves the network towards r + gamma V(s'). In the end, V is compared with what runs really earned.
"""

import time

import numpy as np
from numba import njit

import fastprop as fp

GAMMA, DT, LENGTH = 0.95, 0.02, 200  # the discount, seconds of a time step, time steps of a run

net = fp.Network([4, 32, 32, 1], activation="tanh", seed=0)
trainer = fp.Trainer(net, loss="half_mse", optimizer=fp.Adam(0.001))
handle = trainer.native()  # keep it while the loop uses its address
forward, step, address = handle.forward, handle.step, handle.address


@njit
def move(s, force):
    """Move the cart-pole, s = (position, velocity, angle, angular velocity), on by DT; return the reward."""
    sin, cos = np.sin(s[2]), np.cos(s[2])
    push = (force + 0.05 * s[3] ** 2 * sin) / 1.1  # a pole of 0.1 kg and 1 m, a cart of 1 kg
    angular = (9.8 * sin - cos * push) / (0.5 * (4 / 3 - 0.1 * cos**2 / 1.1))
    s[0] += DT * s[1]
    s[1] += DT * (push - 0.05 * angular * cos / 1.1)
    s[2] += DT * s[3]
    s[3] += DT * angular
    return np.exp(-(s[0] ** 2) - 10 * s[2] ** 2)


@njit
def control(s, rng):
    """The force of the controller, with noise."""
    return s[0] + 2 * s[1] + 30 * s[2] + 6 * s[3] + rng.normal()


@njit
def start(s, rng):
    """A random state to start from."""
    for j in range(4):
        s[j] = rng.uniform(-0.5, 0.5)


@njit(nogil=True)
def learn(address, runs, rng):
    """Learn from `runs` runs; return the first error code, or 0."""
    s, after = np.empty(4, np.float32), np.empty(4, np.float32)
    value = np.empty(1, np.float32)
    for _ in range(runs):
        start(s, rng)
        for _ in range(LENGTH):
            after[:] = s
            reward = move(after, control(s, rng))
            error = forward(address, after.ctypes, 1, value.ctypes)
            if error:
                return error
            value[0] = reward + GAMMA * value[0]
            error = step(address, s.ctypes, value.ctypes, 1)
            if error:
                return error
            s[:] = after
    return 0


@njit
def earned(states, runs, rng):
    """What runs from each state earn, on average."""
    result, s = np.zeros(len(states)), np.empty(4, np.float32)
    for i in range(len(states)):
        for _ in range(runs):
            s[:] = states[i]
            for t in range(LENGTH):
                result[i] += GAMMA**t * move(s, control(s, rng)) / runs
    return result


rng = np.random.default_rng(1)
learn(address, 1, rng)  # compiles
begin, steps = time.perf_counter(), trainer.steps
error = learn(address, 1000, rng)
seconds, steps = time.perf_counter() - begin, trainer.steps - steps
if error:
    raise RuntimeError(handle.message(error))
print(f"{steps:,} steps of {net}, {1e6 * seconds / steps:.2f} microseconds each, simulation and outputs included")

states = rng.uniform(-0.5, 0.5, (200, 4)).astype(np.float32)
V, truth = net(states)[:, 0], earned(states, 50, rng)
print("   V(s)   earned")
for v, r in zip(V[:5], truth[:5]):
    print(f"{v:7.3f}  {r:7.3f}")
print(f"correlation over {len(states)} states: {np.corrcoef(V, truth)[0, 1]:.3f}")
