"""Statements of docs/coming_from about other libraries: where they use a word in another sense, and where not."""

import warnings

import numpy as np
import pytest

import fastprop as fp

pytestmark = [pytest.mark.peer, pytest.mark.filterwarnings("ignore")]  # of their own use of NumPy

ROWS, N_IN, N_OUT = 40, 4, 3
RNG = np.random.default_rng(0)
X = RNG.normal(size=(ROWS, N_IN)).astype(np.float32)
Y = RNG.normal(size=(ROWS, N_OUT)).astype(np.float32)
BITS = (Y > 0).astype(np.float32)
LABELS = Y.argmax(axis=1)
WEIGHT = RNG.uniform(0.5, 3, ROWS).astype(np.float32)
CLOSE = {"rtol": 2e-5, "atol": 1e-6}  # float32


def cost_of(net, y, loss, weight=None):
    return net.value_and_gradient(X, y, loss=loss, sample_weight=weight)[0]


def epochs_of(**how):
    """Return the number of epochs of a training in which the cost does not improve."""
    history = fp.Network([1, 1], seed=0).fit(
        np.zeros((4, 1)), np.zeros(4), loss="mse", epochs=20, validation=(np.zeros((4, 1)), np.zeros(4)), **how
    )
    return len(history["cost"])


# ---- Keras ----


def model_of(keras, *, penalty=None):
    keras.utils.set_random_seed(0)
    layers = keras.layers
    hidden = layers.Dense(5, "tanh", kernel_regularizer=penalty)
    return keras.Sequential([keras.Input((N_IN,)), hidden, layers.Dense(N_OUT, kernel_regularizer=penalty)])


@pytest.mark.parametrize("name", ["mse", "binary_cross_entropy", "huber", "cross_entropy"])
def test_costs_of_keras(keras, name):
    """Losses are means over outputs, where fastprop has sums; weighted ones are divided by the number of rows."""
    theirs, ours, y, outputs = {
        "mse": (keras.losses.MeanSquaredError(), "mse", Y, 1),
        "binary_cross_entropy": (
            keras.losses.BinaryCrossentropy(from_logits=True),
            "binary_cross_entropy",
            BITS,
            N_OUT,
        ),
        "huber": (keras.losses.Huber(delta=0.5), fp.losses.huber(delta=0.5), Y, N_OUT),
        "cross_entropy": (keras.losses.SparseCategoricalCrossentropy(from_logits=True), "cross_entropy", LABELS, 1),
    }[name]
    model = model_of(keras)
    net = fp.from_keras(model)
    model.compile("sgd", theirs)
    plain = model.evaluate(X, y, batch_size=ROWS, verbose=0)
    weighted = model.evaluate(X, y, sample_weight=WEIGHT, batch_size=ROWS, verbose=0)
    assert cost_of(net, y, ours) == pytest.approx(outputs * plain, rel=1e-5)
    assert cost_of(net, y, ours, WEIGHT) * WEIGHT.mean() == pytest.approx(outputs * weighted, rel=1e-5)


@pytest.mark.parametrize("weights", ["of rows", "of classes"])
def test_a_weighted_step_of_keras(keras, weights):
    """A step is longer by the mean of the weights."""
    model = model_of(keras)
    net = fp.from_keras(model)
    model.compile(keras.optimizers.SGD(0.1), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    if weights == "of rows":
        how, mean = {"sample_weight": WEIGHT}, WEIGHT.mean()
    else:
        how, mean = {"class_weight": {0: 1.0, 1: 5.0, 2: 1.0}}, np.where(LABELS == 1, 5, 1).mean()
    model.train_on_batch(X, LABELS, **how)
    net.fit(X, LABELS, loss="cross_entropy", optimizer=fp.SGD(0.1 * mean), epochs=1, batch_size=ROWS, **how)
    for ours, theirs in zip(net.weights, model.get_weights()[::2]):
        np.testing.assert_allclose(ours, theirs, **CLOSE)


@pytest.mark.parametrize("patience", [1, 2, 5])
def test_patience_of_keras(keras, patience):
    """The patience of early stopping is equal, and that of a plateau is larger by one."""
    model = model_of(keras)
    model.compile(keras.optimizers.SGD(1.0), "mse")
    stop = keras.callbacks.EarlyStopping(monitor="loss", patience=patience)
    reduce = keras.callbacks.ReduceLROnPlateau(monitor="loss", factor=0.5, patience=patience + 1)
    rates, stopped = [], 0
    for callback in (stop, reduce):
        callback.set_model(model)
        callback.on_train_begin()
    for epoch in range(20):
        for callback in (stop, reduce):
            callback.on_epoch_end(epoch, {"loss": 1.0})
        rates.append(float(keras.ops.convert_to_numpy(model.optimizer.learning_rate)))
        stopped = stopped or (epoch + 1 if model.stop_training else 0)
    assert stopped == epochs_of(optimizer="sgd", early_stopping=fp.EarlyStopping(patience=patience))
    ours = []

    class Note(fp.Callback):
        def on_epoch_end(self, run):
            ours.append(run.rate)

    schedule = fp.schedules.ReduceOnPlateau(1.0, factor=0.5, patience=patience)
    epochs_of(optimizer=fp.SGD(schedule), callbacks=Note())
    assert ours == rates


def test_words_of_keras_that_mean_the_same(keras):
    """An l2 of twice the size, the global norm, a cosine and momentum agree."""
    optimizers, cosine = keras.optimizers, fp.schedules.Cosine
    pairs = [
        (optimizers.SGD(0.1), keras.regularizers.L2(1e-2), fp.SGD(0.1), {"l2": 2e-2}),
        (optimizers.SGD(0.1, global_clipnorm=0.05), None, fp.SGD(0.1), {"clip_norm": 0.05}),
        (optimizers.SGD(optimizers.schedules.CosineDecay(0.1, 5)), None, fp.SGD(cosine(0.1, steps=5)), {}),
        (optimizers.SGD(0.1, momentum=0.9, nesterov=True), None, fp.SGD(0.1, momentum=0.9, nesterov=True), {}),
    ]
    for theirs, penalty, ours, how in pairs:
        model = model_of(keras, penalty=penalty)
        net = fp.from_keras(model)
        model.compile(theirs, "mse")
        for _ in range(5):
            model.train_on_batch(X, Y)
        net.fit(X, Y, loss="mse", optimizer=ours, epochs=5, batch_size=ROWS, **how)
        for w, theirs_w in zip(net.weights, model.get_weights()[::2]):
            np.testing.assert_allclose(w, theirs_w, **CLOSE)


def test_adam_of_keras(keras):
    """Its epsilon is 1e-7 and is added before the moments are corrected, so that it is 3e-6 in the first step."""
    model = model_of(keras)
    net = fp.from_keras(model)
    model.compile(keras.optimizers.Adam(0.01), "mse")
    model.train_on_batch(X, Y)
    _, gradient = net.value_and_gradient(X, Y, loss="mse")
    epsilon = 1e-7 / np.sqrt(1 - 0.999)
    expected = net.parameters - 0.01 * gradient / (np.abs(gradient) + epsilon)
    theirs = np.concatenate([array.ravel() for array in model.get_weights()])
    np.testing.assert_allclose(theirs, expected, atol=1e-6)


# ---- scikit-learn ----


def fitted(estimator, *given, **how):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says that it has not converged
        return estimator.fit(*given, **how)


@pytest.mark.parametrize("weighted", [False, True])
def test_several_targets_of_scikit_learn(neural, weighted):
    """A step is that of half_mse with l2 = alpha / weights; the loss that it reports is a mean over outputs."""
    how = {"sample_weight": WEIGHT} if weighted else {}
    alpha, mass = 0.3, WEIGHT.sum() if weighted else ROWS

    def estimator(rate):
        kind = neural.MLPRegressor(
            hidden_layer_sizes=(5,), activation="tanh", solver="sgd", learning_rate_init=rate, momentum=0, alpha=alpha,
            batch_size=ROWS, max_iter=1, random_state=0,
        )  # fmt: skip
        return fitted(kind, X.astype(np.float64), Y, **how)

    before, after = estimator(1e-300), estimator(0.1)
    net, loss, _ = fp.from_sklearn(before)
    cost = cost_of(net, Y, loss, WEIGHT if weighted else None)
    penalty = alpha / 2 * sum(np.sum(w**2) for w in before.coefs_) / mass
    assert before.loss_ == pytest.approx(cost / N_OUT + penalty, rel=1e-6)
    net.fit(X, Y, loss=loss, optimizer=fp.SGD(0.1), epochs=1, batch_size=ROWS, l2=alpha / mass, **how)
    for ours, theirs in zip(net.weights, after.coefs_):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("patience", [1, 3, 10])
def test_patience_of_scikit_learn(neural, patience):
    """It waits for one more epoch than its option says."""
    theirs = neural.MLPRegressor(
        hidden_layer_sizes=(2,), solver="sgd", learning_rate_init=1e-300, max_iter=50, early_stopping=True,
        n_iter_no_change=patience,
    )  # fmt: skip
    fitted(theirs, X, Y[:, 0])
    ours = epochs_of(optimizer="sgd", early_stopping=fp.EarlyStopping(patience=patience + 1))
    assert theirs.n_iter_ == ours == patience + 2


# ---- PyTorch ----


def test_costs_of_torch(torch):
    """Losses of several outputs are means; fastprop has sums except for "mse". Class weights agree."""
    net = fp.Network([N_IN, N_OUT], dtype="float64", seed=0)
    outputs, nn = torch.tensor(net(X)), torch.nn
    y, bits, labels = torch.tensor(Y).double(), torch.tensor(BITS).double(), torch.tensor(LABELS)
    for loss, theirs, target, factor in [
        ("mse", nn.MSELoss(), y, 1),
        (fp.losses.huber(delta=0.5), nn.HuberLoss(delta=0.5), y, N_OUT),
        ("binary_cross_entropy", nn.BCEWithLogitsLoss(), bits, N_OUT),
        ("cross_entropy", nn.CrossEntropyLoss(), labels, 1),
    ]:
        assert cost_of(net, target.numpy(), loss) == pytest.approx(factor * theirs(outputs, target).item(), rel=1e-12)
    weights = np.array([1.0, 5.0, 0.5])
    theirs = nn.CrossEntropyLoss(weight=torch.tensor(weights))(outputs, labels).item()
    assert cost_of(net, LABELS, "cross_entropy", weights[LABELS]) == pytest.approx(theirs, rel=1e-12)


@pytest.mark.parametrize("kind", ["EMA", "SWA"])
def test_averages_of_torch(torch, kind):
    """AveragedModel averages the parameters after each step, from the first step on."""
    net = fp.Network([N_IN, 6, N_OUT], activation="tanh", dtype="float64", seed=0)
    module = net.to_torch().train()
    utils = torch.optim.swa_utils
    how = {"multi_avg_fn": utils.get_ema_multi_avg_fn(0.9)} if kind == "EMA" else {}
    averaged = utils.AveragedModel(module, **how)
    average = fp.EMA(0.9) if kind == "EMA" else fp.SWA(start=1)
    trainer = fp.Trainer(net, loss="mse", optimizer=fp.SGD(0.1, momentum=0.9), average=average)
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1, momentum=0.9)
    x, y = torch.tensor(X).double(), torch.tensor(Y).double()
    for _ in range(12):
        trainer.step(X, Y)
        optimizer.zero_grad()
        torch.nn.MSELoss()(module(x), y).backward()
        optimizer.step()
        averaged.update_parameters(module)
    theirs = [(p.T if p.ndim == 2 else p).detach().numpy().ravel() for p in averaged.module.parameters()]
    np.testing.assert_allclose(trainer.averaged, np.concatenate(theirs), rtol=1e-10, atol=1e-13)


def test_the_norm_of_torch_is_clipped(torch):
    """clip_grad_norm_ adds 1e-6 to the norm that it divides by, and otherwise agrees."""
    net = fp.Network([N_IN, 6, N_OUT], activation="tanh", dtype="float64", seed=0)
    module = net.to_torch().train()
    before = net.parameters.copy()
    torch.nn.MSELoss()(module(torch.tensor(X).double()), torch.tensor(Y).double()).backward()
    torch.nn.utils.clip_grad_norm_(module.parameters(), 0.1)
    fp.Trainer(net, loss="mse", optimizer=fp.SGD(1.0), clip_norm=0.1).step(X, Y)
    theirs = [(p.grad.T if p.ndim == 2 else p.grad).numpy().ravel() for p in module.parameters()]
    np.testing.assert_allclose(before - net.parameters, np.concatenate(theirs), rtol=1e-5)
