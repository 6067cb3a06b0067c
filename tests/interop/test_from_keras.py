"""Import from Keras: the network has the outputs of the model."""

from functools import partial

import bridge_cases
import numpy as np
import pytest

import fastprop as fp
from fastprop.interop.from_keras import ACTIVATIONS

pytestmark = [pytest.mark.peer, pytest.mark.filterwarnings("ignore")]  # of its own use of NumPy


def randomized(model, seed=0):
    """Return the model with distinct arrays and positive variances."""
    rng = np.random.default_rng(seed)
    for layer in model.layers:
        if hasattr(layer, "layers"):
            randomized(layer, seed + 1)
        else:
            layer.set_weights([rng.uniform(0.2, 1.2, w.shape).astype(w.dtype) for w in layer.get_weights()])
    return model


def assert_same(model, net, dtype="float32"):
    """Outputs agree to float32, since Keras multiplies float64 with that precision on PyTorch."""
    X = np.random.default_rng(2).normal(size=(30, net.n_inputs)).astype(dtype)
    bridge_cases.assert_close(np.asarray(model.predict(X, verbose=0)), net, X, 2e-6)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_dense_stacks(keras, activation, dtype):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(dtype)
    try:
        layers = [
            keras.layers.Dense(7, activation=activation),
            keras.layers.Dense(6, use_bias=False),
            keras.layers.Activation(activation),
            keras.layers.Dense(3),
        ]
        model = keras.Sequential([keras.Input((5,)), *layers])
        net = fp.from_keras(model, seed=4)
        assert net.seed == 4 and net.dtype == dtype and len(net.layers) == 3
        np.testing.assert_array_equal(net.weights[0], model.layers[0].get_weights()[0])
        assert_same(model, net, dtype)
    finally:
        keras.config.set_dtype_policy(before)


def test_layers_of_every_kind(keras):
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((6,)),
            layers.BatchNormalization(center=False),
            layers.Dense(9, activation="relu"),
            layers.BatchNormalization(momentum=0.9, epsilon=0.01),
            layers.PReLU(),
            layers.Dropout(0.25),
            layers.Flatten(),
            keras.Sequential([keras.Input((9,)), layers.LayerNormalization(scale=False), layers.LeakyReLU(0.15)]),
            layers.Dense(8, activation=layers.LeakyReLU(0.3)),
            layers.LayerNormalization(epsilon=0.1, axis=1),
            layers.ReLU(),
            layers.Dense(7),
            layers.ReLU(max_value=6),
            layers.Dense(6),
            layers.ReLU(negative_slope=0.2),
            layers.Dense(5),
            layers.ELU(0.7),
            layers.BatchNormalization(axis=1, scale=False, center=False),
            layers.Softmax(),
        ]
    )
    net = fp.from_keras(randomized(model))
    assert_same(model, net)
    assert fp.Dropout(0.25) in net.layers
    norm = net.layers[2]
    assert norm.activation == "prelu" and norm.epsilon == 0.01 and norm.momentum == pytest.approx(0.1)


def test_batch_norm_follows_as_in_keras(keras):
    """After a training step the variances differ: Keras uses the biased one, which is smaller by (n - 1) / n."""
    model = keras.Sequential([keras.Input((3,)), keras.layers.BatchNormalization(momentum=0.8)])
    net = fp.from_keras(model)
    X = np.random.default_rng(0).normal(2, 3, size=(50, 3)).astype(np.float32)
    model(X, training=True)
    net.forward(X, training=True)
    _, _, mean, variance = model.layers[0].get_weights()
    np.testing.assert_allclose(net.state[:3], mean, rtol=1e-5)
    np.testing.assert_allclose(variance, 0.8 + 0.2 * X.var(axis=0), rtol=1e-5)
    np.testing.assert_allclose(net.state[3:], 0.8 + 0.2 * X.var(axis=0, ddof=1), rtol=1e-5)


def test_a_fitted_model_trains_on(keras):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(64, 4)).astype(np.float32), rng.normal(size=(64, 1)).astype(np.float32)
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.layers.Dense(8, activation="tanh"), keras.layers.Dense(1)])
    with pytest.raises(ValueError, match="build the model first"):
        fp.from_keras(model)
    model.compile("sgd", "mse")
    model.fit(X, y, epochs=2, verbose=0)
    net = fp.from_keras(model)
    assert_same(model, net)
    history = net.fit(X, y, loss="half_mse", optimizer=fp.SGD(0.05), epochs=5)
    assert history["cost"][-1] < history["cost"][0]


@pytest.mark.parametrize(
    "make, error, message",
    [
        (lambda L: [L.Dense(2), L.GaussianNoise(0.1)], TypeError, r"'noise', GaussianNoise, has no counterpart"),
        (
            lambda L: [L.Dense(2, activation="exponential")],
            ValueError,
            "activation unknown here, exponential; use one of",
        ),
        (lambda L: [L.Dense(2, activation=L.PReLU())], ValueError, "activation unknown here, PReLU"),
        (lambda L: [L.Dense(2, activation=relu)], ValueError, "an activation of your own, relu; use one of"),
        (lambda L: [L.Activation(lambda x: -x)], ValueError, "an activation of your own, <lambda>"),
        (lambda L: [L.Dense(2, activation=partial(relu))], ValueError, "an activation of your own, partial"),
        (lambda L: [L.Dense(2, dtype="mixed_float16")], ValueError, "'noise', Dense, computes in float16"),
        (lambda L: [L.Dense(2, dtype="bfloat16")], ValueError, "'noise', Dense, computes in bfloat16"),
        (lambda L: [L.SpectralNormalization(L.Dense(2))], TypeError, "SpectralNormalization, .*the layer inside"),
        (lambda L: [L.Masking()], TypeError, "'noise', Masking, has no counterpart"),
        (lambda L: [L.Dense(2), L.ELU(0.0)], ValueError, "'noise', ELU, has a value that fastprop does not allow"),
        (lambda L: [L.BatchNormalization(momentum=1.0)], ValueError, "'noise', BatchNormalization, has a value"),
        (lambda L: [L.Dense(2), L.Dropout(1.0)], ValueError, "'noise', Dropout, has a value"),
        (lambda L: [L.Dense(2), L.ReLU(threshold=1.0)], ValueError, "has a threshold"),
        (lambda L: [L.Dense(2), L.ReLU(max_value=3.0)], ValueError, "has a max_value"),
        (lambda L: [L.Dense(2), L.Softmax(axis=0)], ValueError, "not over the last axis"),
        (lambda L: [L.Dropout(0.5, noise_shape=(None, 1)), L.Dense(2)], ValueError, "has a noise_shape"),
        (lambda L: [L.LayerNormalization(rms_scaling=True)], ValueError, "rms_scaling=True"),
        (lambda L: [L.Dense(2), L.Dropout(0.5)], ValueError, "Dropout must not be the last"),
        (lambda L: [L.Dense(2), L.Dense(2, dtype="float64")], ValueError, "float32, float64"),
    ],
)
def test_what_has_no_counterpart(keras, make, error, message):
    layers = make(keras.layers)
    layers[-1].name = "noise"
    model = keras.Sequential([keras.Input((4,)), *layers])
    with pytest.raises(error, match=message):
        fp.from_keras(model)


def relu(x):
    """A layer that Keras does not have."""
    return -x


def negated(layer):
    call = layer.call
    layer.call = lambda *given, **how: -call(*given, **how)


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda model: negated(model.layers[0]), "computes something else.*outputs differ"),
        (lambda model: negated(model), "computes something else.*outputs differ"),
        (lambda model: model.layers[0].register_forward_hook(lambda layer, x, y: -y), "computes something else"),
        (
            lambda model: model.layers[0].enable_lora(2),
            "has a LoRA besides its kernel; save the model and load it again",
        ),
        (lambda model: model.quantize("int8"), "a quantised one cannot be read"),
    ],
)
def test_what_its_layers_do_not_say(keras, change, message):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(5), keras.layers.Dense(2)])
    change(model)
    with pytest.raises(ValueError, match=message):
        fp.from_keras(model)


def test_what_does_not_matter(keras):
    """Constraints, regularisers, frozen layers, a repeated layer and flattened inputs are imported."""
    layers = keras.layers
    twice, frozen = layers.Dense(6, kernel_constraint="non_neg", kernel_regularizer="l2"), layers.BatchNormalization()
    frozen.trainable = False
    model = keras.Sequential(
        [keras.Input((2, 3)), layers.Flatten(), twice, frozen, layers.Identity(), twice,
         layers.ActivityRegularization(0.1), layers.Dense(2)]
    )  # fmt: skip
    net = fp.from_keras(randomized(model))
    X = np.random.default_rng(2).normal(size=(30, 6)).astype(np.float32)
    bridge_cases.assert_close(np.asarray(model.predict(X.reshape(30, 2, 3), verbose=0)), net, X, 2e-6)


def test_shapes(keras):
    layers = keras.layers
    with pytest.raises(
        ValueError, match=r"takes inputs of shape \(4, 5\), not rows of numbers; put keras.layers.Flatten"
    ):
        fp.from_keras(keras.Sequential([keras.Input((4, 5)), layers.Dense(3)]))
    with pytest.raises(ValueError, match=r"takes inputs of shape \(None, 5\), not rows of numbers"):
        fp.from_keras(keras.Sequential([keras.Input((None, 5)), layers.Dense(3)]))
    for empty in (keras.Sequential([keras.Input((4,))]), keras.Sequential(), keras.Sequential([layers.Dense(3)])):
        with pytest.raises(ValueError, match="no layers, or no weights yet"):
            fp.from_keras(empty)


def test_other_models(keras, monkeypatch):
    inputs = keras.Input((4,))
    with pytest.raises(TypeError, match=r"got Functional; if its layers are a chain, give keras.Sequential"):
        fp.from_keras(keras.Model(inputs, keras.layers.Dense(2)(inputs)))

    class Mine(keras.Sequential):
        def call(self, inputs):
            return -super().call(inputs)

    class Dense(keras.layers.Dense):
        def call(self, inputs):
            return -super().call(inputs)

    with pytest.raises(TypeError, match="takes a keras.Sequential, got Mine"):
        fp.from_keras(Mine([inputs, keras.layers.Dense(2)]))
    with pytest.raises(TypeError, match="Dense, has no counterpart"):
        fp.from_keras(keras.Sequential([inputs, Dense(2)]))
    with monkeypatch.context() as patch:
        patch.setattr(keras, "__version__", "2.15.0")
        with pytest.raises(ValueError, match=r"got Keras 2\.15\.0"):
            fp.from_keras(keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)]))
    skip = keras.Model(inputs, keras.layers.Add()([inputs, keras.layers.Dense(4)(inputs)]))
    with pytest.raises(TypeError, match="Functional, has no counterpart"):
        fp.from_keras(keras.Sequential([inputs, skip]))
    with pytest.raises(TypeError, match="got str"):
        fp.from_keras("model.keras")
