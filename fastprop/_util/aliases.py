"""The names that other libraries give to what fastprop has; messages use them to suggest the name that is meant."""

import re
from collections.abc import Collection

from fastprop._util.lazy import LazyModule

difflib = LazyModule("difflib")

# Losses, activations, optimisers, initialisers and metrics, in the form that `_plain` returns. The first name that the
# list in question has is meant: "logistic" is a loss in one list and an activation in another.
NAMES = {
    "bce": ("binary_cross_entropy",),
    "bcewithlogits": ("binary_cross_entropy",),
    "sigmoidcrossentropy": ("binary_cross_entropy",),
    "logistic": ("binary_cross_entropy", "sigmoid"),
    "binarylog": ("binary_cross_entropy", "log_loss"),
    "ce": ("cross_entropy",),
    "nll": ("cross_entropy",),
    "log": ("log_loss", "cross_entropy"),
    "negativeloglikelihood": ("cross_entropy",),
    "negloglikelihood": ("cross_entropy",),
    "categoricalcrossentropy": ("cross_entropy",),
    "sparsecategoricalcrossentropy": ("cross_entropy",),
    "softmaxcrossentropy": ("cross_entropy",),
    "softmax": ("cross_entropy",),
    "kldiv": ("kl_divergence",),
    "kld": ("kl_divergence",),
    "kullbackleiblerdivergence": ("kl_divergence",),
    "binaryfocalcrossentropy": ("binary_focal",),
    "categoricalfocalcrossentropy": ("focal",),
    "multimargin": ("hinge",),
    "categoricalhinge": ("hinge",),
    "l1": ("mae",),
    "absoluteerror": ("mae",),
    "meanabsoluteerror": ("mae",),
    "negmeanabsoluteerror": ("mae",),
    "l2": ("mse",),
    "meansquarederror": ("mse", "rmse"),
    "rootmeansquarederror": ("rmse", "mse"),
    "leastsquares": ("squared_error",),
    "smoothl1": ("huber",),
    "logcosh": ("log_cosh",),
    "pinball": ("quantile",),
    "poissonnll": ("poisson",),
    "gaussiannegativeloglikelihood": ("gaussian_nll",),
    "linear": ("identity",),
    "none": ("identity",),
    "rectifier": ("relu",),
    "swish": ("silu",),
    "hardswish": ("hard_swish",),
    "hardsilu": ("hard_swish",),
    "exponentiallinear": ("elu",),
    "hardtanh": ("hard_tanh",),
    "approximategelu": ("gelu_tanh",),
    "geluapproximate": ("gelu_tanh",),
    "sine": ("sin",),
    "momentum": ("sgd",),
    "nesterov": ("sgd",),
    "gd": ("sgd",),
    "stochasticgradientdescent": ("sgd",),
    "gradientdescent": ("sgd",),
    "xavier": ("glorot_uniform",),
    "xavieruniform": ("glorot_uniform",),
    "xaviernormal": ("glorot_normal",),
    "kaiming": ("he_normal",),
    "kaiminguniform": ("he_uniform",),
    "kaimingnormal": ("he_normal",),
    "acc": ("accuracy",),
    "sparsecategoricalaccuracy": ("accuracy",),
    "categoricalaccuracy": ("accuracy",),
    "binaryaccuracy": ("accuracy",),
    "rocauc": ("auc",),
    "f1score": ("f1",),
    "r2score": ("r2",),
    "negativeslope": ("slope",),
    "smoothing": ("label_smoothing",),
}

# Arguments: the argument that is meant, if the call has it ...
ARGUMENTS = {
    "lr": "rate", "learningrate": "rate", "learningrateinit": "rate", "eta": "rate", "eta0": "rate",
    "validationdata": "validation", "validationsplit": "validation", "validationfraction": "validation",
    "evalset": "validation", "valdata": "validation", "xval": "validation",
    "verbose": "progress", "progressbar": "progress", "disp": "progress",
    "batch": "batch_size", "minibatchsize": "batch_size", "bs": "batch_size",
    "nepochs": "epochs", "nepoch": "epochs", "numepochs": "epochs", "maxepochs": "epochs", "maxiter": "epochs",
    "niter": "epochs", "iterations": "epochs",
    "criterion": "loss", "lossfn": "loss", "lossfunction": "loss", "objective": "loss",
    "optim": "optimizer", "opt": "optimizer", "solver": "optimizer", "algorithm": "optimizer",
    "randomstate": "seed", "randomseed": "seed", "rng": "seed",
    "weights": "sample_weight", "sampleweights": "sample_weight", "w": "sample_weight",
    "regularization": "l2", "alpha": "l2", "penalty": "l2", "kernelregularizer": "l2",
    "clipnorm": "clip_norm", "globalclipnorm": "clip_norm", "maxgradnorm": "clip_norm", "gradclip": "clip_norm",
    "ema": "average", "swa": "average", "useema": "average",
    "eps": "epsilon", "rho": "alpha", "betas": "beta1", "momentumbeta": "momentum",
    "units": "n_outputs", "neurons": "n_outputs", "outfeatures": "n_outputs", "usebias": "bias", "act": "activation",
    "kernelinitializer": "initializer", "weightinit": "initializer", "init": "initializer", "p": "rate",
    "hiddenlayersizes": "layers", "hidden": "layers", "sizes": "layers",
    "tmax": "steps", "totalsteps": "steps", "decaysteps": "steps", "stepsize": "steps", "maxlr": "rate",
    "gamma": "factor", "decayrate": "factor", "etamin": "final", "minlr": "final", "warmupsteps": "warmup",
    "monitor": "best", "savebestonly": "best", "filepath": "directory",
    "restorebestweights": "restore_best", "tol": "min_delta", "niternochange": "patience",
}  # fmt: skip

# ... and otherwise the advice where to give it.
ELSEWHERE = {
    "rate": "the learning rate belongs to the optimizer: optimizer=fp.Adam(0.001)",
    "momentum": "the momentum belongs to the optimizer: optimizer=fp.SGD(0.1, momentum=0.9)",
    "nesterov": "it belongs to the optimizer: optimizer=fp.SGD(0.1, momentum=0.9, nesterov=True)",
    "beta1": "it belongs to the optimizer: optimizer=fp.Adam(beta1=0.9, beta2=0.999)",
    "beta2": "it belongs to the optimizer: optimizer=fp.Adam(beta1=0.9, beta2=0.999)",
    "epsilon": "it belongs to the optimizer: optimizer=fp.Adam(epsilon=1e-8)",
    "weight_decay": "it belongs to the optimizer: optimizer=fp.AdamW(weight_decay=0.01); of weights alone it is l2",
    "schedule": "the optimizer takes one in place of its rate: fp.Adam(fp.schedules.Cosine(0.001, epochs=10))",
    "scheduler": "the optimizer takes one in place of its rate: fp.Adam(fp.schedules.Cosine(0.001, epochs=10))",
    "lr_scheduler": "the optimizer takes one in place of its rate: fp.Adam(fp.schedules.Cosine(0.001, epochs=10))",
    "patience": "it belongs to early stopping: early_stopping=fp.EarlyStopping(patience=10)",
    "min_delta": "it belongs to early stopping: early_stopping=fp.EarlyStopping(min_delta=1e-3)",
    "initial_epoch": "a training goes on from a checkpoint: callbacks=fp.Checkpoint('run'), resume='run'",
    "steps_per_epoch": "an epoch is all rows, or all batches",
    "dropout": "it is a layer: fp.Network([4, 32, fp.Dropout(0.2), 1])",
    "dtype": "the network has it: fp.Network([4, 32, 1], dtype='float64')",
    "layers": "the network has them: fp.Network([4, 32, 1])",
    "amsgrad": "it is an optimizer of its own: fp.AMSGrad()",
    "loss": "it belongs to fit: net.fit(X, y, loss='cross_entropy')",
    "optimizer": "it belongs to fit: net.fit(X, y, loss='cross_entropy', optimizer='adam')",
    "epochs": "it belongs to fit: net.fit(X, y, loss='cross_entropy', epochs=10)",
    "batch_size": "it belongs to fit: net.fit(X, y, loss='cross_entropy', batch_size=32)",
    "validation": "it belongs to fit: net.fit(X, y, loss='cross_entropy', validation=0.2)",
    "progress": "it belongs to fit: net.fit(X, y, loss='cross_entropy', progress=True)",
    "metrics": "it belongs to fit: net.fit(X, y, loss='cross_entropy', metrics='accuracy')",
    "callbacks": "it belongs to fit: net.fit(X, y, loss='cross_entropy', callbacks=...)",
    "early_stopping": "it belongs to fit: net.fit(X, y, loss='cross_entropy', validation=0.2, early_stopping=True)",
    "resume": "net.fit takes it, of one network",
    "fallback": "net.fit takes it, of one network",
    "window": "net.fit and Trainer.epoch take it, of one network",
    "n_jobs": "fp.set_num_threads(2) sets the number of threads",
    "workers": "fp.set_num_threads(2) sets the number of threads",
    "device": "fastprop computes on CPUs alone; omit it",
}


def _plain(name: str) -> str:
    """Return a name in lower case, without spaces, underscores and a final "loss"."""
    return re.sub(r"[^a-z0-9]", "", name.lower()).removesuffix("loss") or name


def nearest(name: str, known: Collection[str]) -> str | None:
    """Return the known name that is probably meant, or None."""
    plain = {_plain(one): one for one in known}
    found = plain.get(_plain(name))
    if found is None:
        found = next((one for one in NAMES.get(_plain(name), ()) if one in known), None)
    near = [found] if found else difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.5)
    return near[0] if near else None


def argument(name: str, known: Collection[str]) -> str:
    """Return the advice for an argument that is not known."""
    plain = {_plain(one): one for one in known}
    meant = plain.get(_plain(name)) or ARGUMENTS.get(_plain(name), name)
    if meant in known:
        return f"did you mean {meant}=...?"
    advice = {_plain(one): advice for one, advice in ELSEWHERE.items()}.get(_plain(meant))
    if advice is not None:
        return advice
    near = difflib.get_close_matches(name.lower(), known, n=1)
    return f"did you mean {near[0]}=...?" if near else f"it takes {', '.join(known)}"
