"""scikit-learn as a contestant: MLPClassifier or MLPRegressor, one `partial_fit` per epoch, all extras off."""

import warnings

import numpy as np
import sklearn
from sklearn.neural_network import MLPClassifier, MLPRegressor

from contest.contestant import BlasContestant
from contest.tasks import flatten, unflatten

# A two-class MLPClassifier has one logistic output; the tasks here have ten or seven classes, hence
# a softmax.
warnings.filterwarnings("ignore", module="sklearn")


class Trainer(BlasContestant):
    """`partial_fit`, which shuffles, gathers and passes once over the data.

    `assume_finite` spares a pass over the data that the others do not make.
    """

    version = sklearn.__version__

    def restart(self):
        """Build the estimator with the task's parameters."""
        sklearn.set_config(assume_finite=True)
        self.model = self.build(shuffle=True)

    def build(self, shuffle, layers=None):
        """Return an estimator with the task's initial parameters, or with the given ones."""
        task = self.task
        kind = MLPClassifier if task.loss == "cross_entropy" else MLPRegressor
        model = kind(
            hidden_layer_sizes=task.widths[1:-1],
            activation="logistic" if task.activation == "sigmoid" else task.activation,
            solver=task.optimizer,
            alpha=0.0,
            batch_size=task.batch_size,
            learning_rate_init=task.rate,
            momentum=0.0,
            nesterovs_momentum=False,
            shuffle=shuffle,
            random_state=0,
        )
        self.target = self.y.ravel() if task.widths[-1] == 1 else self.y
        self.classes = (
            {"classes": np.arange(task.widths[-1])} if task.loss == "cross_entropy" else {}
        )
        model.partial_fit(self.X, self.target, **self.classes)
        # A first call creates the arrays. They are updated in place, so they are written to in
        # place; the optimiser starts anew.
        for w, b, (w0, b0) in zip(
            model.coefs_,
            model.intercepts_,
            layers or unflatten(task.theta(), task.widths),
            strict=True,
        ):
            w[...], b[...] = w0, b0
        del model._optimizer
        return model

    def epoch(self, order=None):
        """Call `partial_fit`; for a given order, of an estimator that does not shuffle, on data in that order."""
        if order is None:
            self.model.partial_fit(self.X, self.target)
        else:
            self.model = self.build(
                shuffle=False,
                layers=list(zip(self.model.coefs_, self.model.intercepts_, strict=True)),
            )
            self.model.partial_fit(self.X[order], self.target[order])

    def parameters(self):
        """Return a copy of the parameters."""
        return flatten(zip(self.model.coefs_, self.model.intercepts_, strict=True))
