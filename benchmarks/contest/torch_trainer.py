"""PyTorch as a contestant: eager, no DataLoader, index_select of a permutation, the fastest of four ways."""

import torch
import torch.nn.functional as F

from contest.contestant import Contestant
from contest.tasks import flatten, unflatten


class Trainer(Contestant):
    """Eager PyTorch.

    `ways` is how a step is taken (torch.optim with its fused kernel; or `autograd.grad` and one
    foreach call, which spares the optimiser's and the `.grad` bookkeeping, the larger part of a
    small step) and when rows are gathered (`ahead`: the whole epoch at once, then views; else batch
    by batch).
    """

    version = torch.__version__
    ways = ("fused ahead", "fused", "functional ahead", "functional")

    fewer_threads = True

    def __init__(self, task):
        if task.optimizer != "sgd":
            self.ways = self.ways[:2]
        super().__init__(task)

    def restart(self):
        """Build parameters and optimiser."""
        task = self.task
        self.X_t, self.y_t = torch.from_numpy(self.X), torch.from_numpy(self.y)
        self.layers = [
            (
                torch.from_numpy(w.copy()).requires_grad_(),
                torch.from_numpy(b.copy()).requires_grad_(),
            )
            for w, b in unflatten(task.theta(), task.widths)
        ]
        self.flat = [part for layer in self.layers for part in layer]
        self.functional = self.way.startswith("functional")
        kind = torch.optim.SGD if task.optimizer == "sgd" else torch.optim.Adam
        self.optimizer = kind(self.flat, lr=task.rate, fused=True)
        self.hidden = {"relu": torch.relu_, "tanh": torch.tanh_, "sigmoid": torch.sigmoid_}[
            task.activation
        ]
        # mse_loss is the mean over rows and outputs of the square; half the sum over outputs is
        # this factor, which rides along as the first gradient of the backward pass and so costs
        # nothing.
        self.seed_gradient = None
        if task.loss == "half_mse":
            self.seed_gradient = torch.tensor(0.5 * task.widths[-1], dtype=self.flat[0].dtype)

    def claim(self):
        """Set the number by torch's own function, which also sets that of OpenMP and MKL."""
        torch.set_num_threads(self.threads)

    def step(self, x, y):
        """Take a step. addmm takes W as (n_in, n_out), which avoids the transposed view of nn.Linear."""
        for w, b in self.layers[:-1]:
            x = self.hidden(torch.addmm(b, x, w))
        w, b = self.layers[-1]
        scores = torch.addmm(b, x, w)
        loss = F.mse_loss(scores, y) if self.task.loss == "half_mse" else F.cross_entropy(scores, y)
        if self.functional:
            grads = torch.autograd.grad(loss, self.flat, self.seed_gradient)
            with torch.no_grad():
                torch._foreach_add_(self.flat, grads, alpha=-self.task.rate)
        else:
            self.optimizer.zero_grad()
            loss.backward(self.seed_gradient)
            self.optimizer.step()

    def epoch(self, order=None):
        """Train for one pass."""
        size = self.task.batch_size
        order = torch.randperm(self.task.rows) if order is None else torch.from_numpy(order)
        if self.way.endswith("ahead"):
            X, y = self.X_t.index_select(0, order), self.y_t.index_select(0, order)
            for xb, yb in zip(X.split(size), y.split(size), strict=True):
                self.step(xb, yb)
        else:
            for rows in order.split(size):
                self.step(self.X_t.index_select(0, rows), self.y_t.index_select(0, rows))

    def parameters(self):
        """Return a copy of the parameters."""
        return flatten([(w.detach().numpy(), b.detach().numpy()) for w, b in self.layers])
