"""Export to and import from PyTorch: parameters are equal, and outputs are equal up to rounding."""

import dataclasses
import io
import re

import bridge_cases
import numpy as np
import pytest
import reference_activations
import strategies
from hypothesis import given, settings
from hypothesis import strategies as st

import fastprop as fp
from fastprop.interop import to_torch as torch_export
from fastprop.nn.activations import ACTIVATIONS

pytestmark = pytest.mark.peer
TOLERANCES = {"float32": 2e-6, "float64": 1e-13}
# What from_torch reads back of to_torch's: all but members.
BOTH_WAYS = [name for name in bridge_cases.NETWORKS if not name.startswith("members")]


def outputs(torch, module, X):
    with torch.no_grad():
        return module(torch.tensor(X)).numpy()


# ---- out ----


@pytest.mark.parametrize("name", bridge_cases.NETWORKS)
@pytest.mark.parametrize("dtype", TOLERANCES)
def test_predicts_the_same(torch, name, dtype):
    net = bridge_cases.network(name, dtype)
    module = net.to_torch()
    assert isinstance(module, torch.nn.Sequential) and not module.training
    X = bridge_cases.rows(net)
    bridge_cases.assert_close(outputs(torch, module, X), net, X, TOLERANCES[dtype])
    assert sum(parameter.numel() for parameter in module.parameters()) == net.n_parameters
    file = io.BytesIO()
    torch.save(module, file)  # its modules can be found again
    file.seek(0)
    again = torch.load(file, weights_only=False)
    np.testing.assert_array_equal(outputs(torch, again, X), outputs(torch, module, X))


@pytest.mark.parametrize("name", ["batch_norm 1", "layer_norm 1", "residual 1", "scale 1", "activation prelu"])
def test_trains_the_same(torch, name):
    """The gradients in training agree too, not only the outputs."""
    net = bridge_cases.network(name, "float64")
    module = net.to_torch().train()
    for each in module.modules():
        if isinstance(each, torch.nn.Dropout):
            each.eval()
    X = bridge_cases.rows(net)
    y = np.random.default_rng(3).normal(size=(len(X), net.n_outputs))
    dY = torch.tensor(net.forward(X, training=True) - y) / len(X)
    net.backward(dY.numpy())
    module(torch.tensor(X)).backward(dY)
    gradients = [
        parameter.grad.numpy().T if isinstance(owner, torch.nn.Linear) else parameter.grad.numpy()
        for owner in module.modules()
        for parameter in owner.parameters(recurse=False)
    ]
    np.testing.assert_allclose(np.concatenate([g.ravel() for g in gradients]), net.gradient, rtol=1e-9, atol=1e-12)


def test_numbers_are_copied(torch):
    net = fp.Network([3, 4, 2], seed=0)
    module, before = fp.to_torch(net), net.parameters.copy()
    with torch.no_grad():
        module[0].weight.zero_()
    np.testing.assert_array_equal(net.parameters, before)
    with pytest.raises(TypeError, match="takes a fastprop.Network"):
        fp.to_torch(module)


@pytest.mark.parametrize("activation", strategies.GENTLE, ids=str)
def test_the_module_of_a_formula(torch, activation):
    """Value and slope of the formula are right for every activation, also for those that torch.nn has."""
    torch_modules = pytest.importorskip("fastprop.interop.torch_modules")
    name, *numbers = strategies.twin(activation)
    z = np.append(np.linspace(-9, 9, 181) + 0.01, [-200.0, 200.0])
    x = torch.tensor(z, requires_grad=True)
    a = torch_modules.Activation(name, dict(zip(ACTIVATIONS[name].values, numbers)))(x)
    a.backward(torch.ones_like(a))
    g, derivative = reference_activations.activation((name, *numbers))
    np.testing.assert_allclose(a.detach().numpy(), g(z), rtol=1e-12, atol=1e-13)
    if name != "hard_tanh":
        np.testing.assert_allclose(x.grad.numpy(), derivative(z, g(z)), rtol=1e-10, atol=1e-12)


def test_the_modules_of_torch_are_of_activations_of_the_list():
    assert set(torch_export.ACTIVATIONS) <= set(ACTIVATIONS)


# ---- in ----


@pytest.mark.parametrize("name", BOTH_WAYS)
@pytest.mark.parametrize("dtype", TOLERANCES)
def test_there_and_back(torch, name, dtype):
    """The network is equal, except for activations by themselves, and for options of initial weights."""
    net = bridge_cases.network(name, dtype)
    again = fp.from_torch(net.to_torch(), n_inputs=3, seed=5)
    assert again.seed == 5 and again.dtype == net.dtype
    np.testing.assert_array_equal(again.parameters, net.parameters)
    np.testing.assert_array_equal(again.state, net.state)
    X = bridge_cases.rows(net)
    np.testing.assert_array_equal(again(X), net(X))
    if not name.startswith(("activation", "residual", "periodic", "piecewise", "by_column")):
        assert list(again.layers) == _merged(net.layers)


@settings(max_examples=50)
@given(widths=strategies.widths(), activation=strategies.activations(), dtype=strategies.dtypes(), bias=st.booleans())
def test_any_stack(torch, widths, activation, dtype, bias):
    """A module and its state give the same network; gaps in the names of a state tell where activations are."""
    *hidden, last = [fp.Dense(n, activation, bias=bias) for n in widths[1:]]
    net = fp.Network([widths[0], *hidden, dataclasses.replace(last, activation="identity")], dtype=dtype)
    module = net.to_torch()
    for again in (fp.from_torch(module), fp.from_state_dict(module.state_dict(), activation=activation)):
        assert again.layers == net.layers and again.dtype == net.dtype
        np.testing.assert_array_equal(again.parameters, net.parameters)


def _merged(layers):
    """Return layers with each activation by itself merged into the layer before it, if that has none."""
    merged = []
    for layer in layers:
        top = merged[-1] if merged else None
        if isinstance(layer, fp.Activation) and getattr(top, "activation", "") == "identity":
            merged[-1] = fp.BatchNorm(layer.activation, epsilon=top.epsilon)
        else:
            merged.append(layer)
    return merged


@pytest.mark.parametrize("dtype", TOLERANCES)
def test_modules_of_every_kind(torch, dtype):
    nn = torch.nn
    torch.manual_seed(0)
    act = nn.ReLU()  # used twice: it counts twice
    module = nn.Sequential(
        nn.Flatten(), nn.BatchNorm1d(6, affine=False), nn.Linear(6, 9), act,
        nn.Dropout(0.25), nn.Identity(), nn.Linear(9, 9), act,
        nn.Sequential(nn.LayerNorm(9, elementwise_affine=False), nn.PReLU(), nn.Linear(9, 9, bias=False)),
        nn.BatchNorm1d(9, momentum=0.2, eps=1e-3), nn.PReLU(9), nn.Linear(9, 5),
        nn.LayerNorm(5), nn.Softplus(), nn.LayerNorm(5, bias=False), nn.Hardtanh(-2, 0.5), nn.Softmax(dim=1),
    ).to(getattr(torch, dtype))  # fmt: skip
    X = np.random.default_rng(0).normal(2, 3, size=(50, 6)).astype(dtype)
    module.train()(torch.tensor(X))
    module.eval()
    net = fp.from_torch(module)
    bridge_cases.assert_close(outputs(torch, module, X), net, X, TOLERANCES[dtype])
    assert fp.Dropout(0.25) in net.layers
    assert fp.BatchNorm("prelu", momentum=0.2, epsilon=1e-3) in net.layers


def test_members_do_not_come_back(torch):
    with pytest.raises(TypeError, match=r"module\[0\], Repeat, has no counterpart"):
        fp.from_torch(fp.Network([3, 4, 2], members=2).to_torch())


def test_subclasses_of_sequential(torch):
    class Mine(torch.nn.Sequential):
        pass

    class Other(torch.nn.Sequential):
        def forward(self, x):
            return -super().forward(x)

    class Linear(torch.nn.Linear):
        def forward(self, x):
            return -super().forward(x)

    assert fp.from_torch(Mine(torch.nn.Linear(2, 3))).n_outputs == 3
    for wrong in (Other(torch.nn.Linear(2, 3)), torch.nn.Sequential(Linear(2, 3))):
        with pytest.raises(TypeError, match="has no counterpart"):
            fp.from_torch(wrong)


@pytest.mark.parametrize(
    "make, error, message",
    [
        (lambda nn: nn.Sequential(nn.Conv2d(1, 2, 3)), TypeError, r"module\[0\], Conv2d, has no counterpart"),
        (lambda nn: nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.LSTM(2, 2))), TypeError, r"\[1\]\[0\], LSTM,"),
        (lambda nn: nn.Sequential(nn.Linear(2, 2), nn.Softmax(dim=0)), ValueError, "over the axis 0.*use dim=-1"),
        (lambda nn: nn.Sequential(nn.Linear(2, 2), nn.Softmax()), ValueError, "over the axis None"),
        (lambda nn: nn.Sequential(nn.Linear(2, 2), nn.Softplus(threshold=3)), ValueError, "is linear above 3"),
        (lambda nn: nn.Sequential(nn.BatchNorm1d(2, track_running_stats=False)), ValueError, "no running statistics"),
        (lambda nn: nn.Sequential(nn.BatchNorm1d(2, momentum=None)), ValueError, "no running statistics"),
        (lambda nn: nn.Sequential(nn.LayerNorm((2, 3))), ValueError, "over the axes"),
        (lambda nn: nn.Sequential(nn.Flatten(0)), ValueError, "does not give rows"),
        (lambda nn: nn.Sequential(nn.PReLU(), nn.Linear(2, 2)), ValueError, "give n_inputs"),
        (lambda nn: nn.Sequential(nn.ReLU()), ValueError, "give n_inputs"),
        (lambda nn: nn.Sequential(nn.Linear(2, 3), nn.Linear(4, 2)), ValueError, "takes 4 numbers, but gets 3"),
        (lambda nn: nn.Sequential(nn.Linear(2, 3)).half(), ValueError, r"float16, wanted float32 or float64"),
        (lambda nn: nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 2).double()), ValueError, "float32, float64"),
        (lambda nn: nn.Sequential(nn.Linear(2, 3), nn.Dropout()), ValueError, "Dropout must not be the last"),
        (lambda nn: nn.Sequential(), ValueError, "at least one layer|give n_inputs"),
        (lambda nn: {"0.weight": 1}, TypeError, "use fp.from_state_dict"),
        (lambda nn: 3, TypeError, "got int"),
    ],
)
def test_what_has_no_counterpart(torch, make, error, message):
    with pytest.raises(error, match=message):
        fp.from_torch(make(torch.nn))


# ---- what computes something else than its numbers say ----


def altered(change):
    """Return two linear layers after `change(torch, module)`, or the module that it returns."""

    def make(torch):
        torch.manual_seed(0)
        module = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Tanh(), torch.nn.Linear(4, 3))
        made = change(torch, module)
        is_other = isinstance(made, torch.nn.Module) and all(made is not each for each in module.modules())
        return made if is_other else module

    return make


def patched(module):
    forward = module.forward
    module.forward = lambda x: 2 * forward(x)


def of_ours(torch, _):
    module = fp.Network([3, fp.Residual([4, 3]), 2], seed=0).to_torch()
    module[0].block[0].register_forward_hook(lambda module, x, y: 2 * y)
    return module


def max_norm(torch, _):
    module = fp.Network([3, fp.Embedding({0: (5, 2)}), 2], seed=0).to_torch()
    module[0].tables[0].max_norm = 0.01
    return module


def called(torch, module):
    class Called(torch.nn.Sequential):
        def __call__(self, x):
            return 2 * super().__call__(x)

    return Called(*module)


def nested(torch, _):
    module = torch.nn.Linear(4, 4)
    for _ in range(3000):
        module = torch.nn.Sequential(module)
    return module


def without(torch, module):
    module._modules["1"] = None


def itself(torch, module):
    square = module[:1]
    return square.append(square)


def prune(torch):
    from torch.nn.utils import prune

    return prune


ALTERED = {
    "weight_norm": (lambda t, m: t.nn.utils.weight_norm(m[0]), r"module\[0\], Linear, .*remove_weight_norm"),
    "weight_norm of the bias": (lambda t, m: t.nn.utils.weight_norm(m[2], "bias"), r"\(module, 'bias'\)"),
    "spectral_norm": (lambda t, m: t.nn.utils.spectral_norm(m[2]), r"module\[2\], .*remove_spectral_norm"),
    "parametrised": (
        lambda t, m: t.nn.utils.parametrizations.weight_norm(m[0]),
        r"module\[0\], ParametrizedLinear, .*remove_parametrizations\(module, 'weight'\)",
    ),
    "orthogonal": (lambda t, m: t.nn.utils.parametrizations.orthogonal(m[0]), "a parametrisation of its weight"),
    "pruned": (lambda t, m: prune(t).l1_unstructured(m[0], "bias", 2), r"prune.remove\(module, 'bias'\)"),
    "hook": (
        lambda t, m: m[0].register_forward_hook(lambda m, x, y: 2 * y),
        r"module\[0\], Linear, has a hook, .*lambda",
    ),
    "pre-hook": (
        lambda t, m: m[1].register_forward_pre_hook(lambda m, x: (2 * x[0],)),
        r"module\[1\], Tanh, has a hook",
    ),
    "hook of the whole": (
        lambda t, m: m.register_forward_hook(lambda m, x, y: 2 * y),
        "module, Sequential, has a hook",
    ),
    "hook inside one of ours": (of_ours, r"module\[0\]\.block\[0\], Linear, has a hook"),
    "forward": (lambda t, m: patched(m[0]), r"module\[0\], Linear, has a forward of its own"),
    "forward of the whole": (lambda t, m: patched(m), "module, Sequential, has a forward of its own"),
    "__call__": (called, "computes something else.*outputs differ"),
    "max_norm": (max_norm, "computes something else.*outputs differ"),
    "meta": (lambda t, m: m.to("meta"), r"module\[0\], Linear, has a weight that is on the meta device"),
    "complex": (lambda t, m: m.to(t.complex64), "complex64, wanted float32 or float64$"),
    "bfloat16": (lambda t, m: m.bfloat16(), r"bfloat16, wanted float32 or float64; call the module's float\(\)"),
    "sparse": (
        lambda t, m: setattr(m[0], "weight", t.nn.Parameter(m[0].weight.detach().to_sparse())),
        r"module\[0\], Linear, has a weight that cannot become an array",
    ),
    "lazy": (lambda t, m: t.nn.Sequential(t.nn.LazyLinear(3)), r"module\[0\], LazyLinear, .*after a first batch"),
    "lazy norm": (lambda t, m: m.append(t.nn.LazyBatchNorm1d()), "LazyBatchNorm1d, .*after a first batch"),
    "quantised": (
        lambda t, m: t.ao.quantization.quantize_dynamic(m, {t.nn.Linear}),
        "give the module from before it was quantised",
    ),
    "compiled": (
        lambda t, m: t.compile(m, backend="eager"),
        r"give the module from before torch.compile, its \._orig_mod",
    ),
    "scripted": (lambda t, m: t.jit.script(m), "give the module from before torch.jit"),
    "traced": (lambda t, m: t.jit.trace(m, t.ones(2, 4)), "give the module from before torch.jit"),
    "parallel": (lambda t, m: t.nn.DataParallel(m), r"DataParallel, .*give the module inside, its \.module"),
    "itself": (itself, "holds itself"),
    "too deep": (nested, "nested deeper"),
    "nothing": (without, r"module\[1\], NoneType, has no counterpart"),
    "slope": (lambda t, m: m.append(t.nn.LeakyReLU(-0.3)), r"module\[3\], LeakyReLU, has a value that .*got -0.3"),
    "momentum": (lambda t, m: m.append(t.nn.BatchNorm1d(3, momentum=0.0)), r"module\[3\], BatchNorm1d, has a value"),
}


@pytest.mark.parametrize("name", ALTERED)
@pytest.mark.filterwarnings("ignore")  # of what PyTorch is about to drop
def test_what_its_numbers_do_not_say(torch, name):
    """The error names the cause and a remedy, and the module is unchanged."""
    change, message = ALTERED[name]
    with pytest.raises((TypeError, ValueError), match=message):
        fp.from_torch(altered(change)(torch))


def test_a_class_that_was_patched(torch, monkeypatch):
    """A change that no check lists is found in the outputs."""
    module = altered(lambda torch, module: None)(torch)
    forward = torch.nn.Linear.forward
    monkeypatch.setattr(torch.nn.Linear, "forward", lambda self, x: 1.1 * forward(self, x))
    with pytest.raises(ValueError, match="computes something else than its layers and their parameters say"):
        fp.from_torch(module)


@pytest.mark.parametrize("name", ["weight_norm", "parametrised", "pruned", "spectral_norm"])
@pytest.mark.filterwarnings("ignore")
def test_the_remedies_work(torch, name):
    """The remedy of the message works, with weights that changed after the hook was added."""
    module = altered(ALTERED[name][0])(torch)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.mul_(1.5)
    X = np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32)
    with pytest.raises(ValueError, match=r"remove") as error:
        fp.from_torch(module)
    place, remedy = re.search(r"^(module\[\d\]), .*(torch\.nn\.utils\.\S+\(module, '\w+'\))", str(error.value)).groups()
    module.eval()
    exec(remedy, {"torch": torch, "module": eval(place, {"module": module})})
    bridge_cases.assert_close(outputs(torch, module, X), fp.from_torch(module), X, 2e-6)


def test_what_does_not_matter(torch):
    """Hooks of gradients and modules that are in-place, frozen, shared, tied, nested, or lazy with known sizes."""
    nn = torch.nn
    torch.manual_seed(0)
    shared = nn.Linear(4, 4)
    tied = nn.Linear(4, 4)
    tied.weight = shared.weight
    module = nn.Sequential(
        nn.ReLU(inplace=True), nn.LazyLinear(4), nn.Hardtanh(inplace=True), shared, shared, tied, nn.LazyBatchNorm1d(),
        nn.Dropout(0.3), nn.Linear(4, 2),
    )  # fmt: skip
    module(torch.randn(16, 4))
    module[3].register_full_backward_hook(lambda module, x, y: None)
    module.requires_grad_(False)
    for _ in range(100):
        module = nn.Sequential(module)
    random = torch.get_rng_state()
    module.train()
    with torch.autocast("cpu", torch.bfloat16):
        net = fp.from_torch(module)
    assert all(each.training for each in module.modules()) and torch.equal(torch.get_rng_state(), random)
    X = np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32)
    bridge_cases.assert_close(outputs(torch, module.eval(), X), net, X, 2e-6)


def test_numbers_that_are_not_finite(torch):
    """They are imported, although their outputs cannot be compared."""
    module = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.ReLU(), torch.nn.Linear(2, 1))
    with torch.no_grad():
        module[0].weight[0, 0] = float("nan")
    assert np.isnan(fp.from_torch(module).weights[0][0, 0])


# ---- states ----


def stack(torch, *, norm_first):
    """Return modules with distinct parameters."""
    nn = torch.nn
    torch.manual_seed(0)
    hidden = [nn.BatchNorm1d(8), nn.Tanh()] if norm_first else [nn.Tanh(), nn.BatchNorm1d(8)]
    rest = [nn.LayerNorm(6), nn.Tanh(), nn.Linear(6, 6), nn.PReLU(), nn.Linear(6, 2)]
    module = nn.Sequential(nn.Linear(4, 8), *hidden, nn.Dropout(0.1), nn.Linear(8, 6), *rest)
    module.train()(torch.randn(40, 4) * 3 + 1)
    return module.eval()


@pytest.mark.parametrize("norm_first", [False, True])
@pytest.mark.parametrize("prefix", ["", "net.layers."])
def test_state_dict(torch, norm_first, prefix):
    module = stack(torch, norm_first=norm_first)
    state = {prefix + name: tensor for name, tensor in module.state_dict().items()}
    net = fp.from_state_dict(state, activation="tanh", seed=3)
    assert net.seed == 3
    X = np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32)
    bridge_cases.assert_close(outputs(torch, module, X), net, X, 2e-6)


def test_state_of_arrays_in_the_order_of_words():
    """The names are in the order of safetensors, which has 10 before 2."""
    rng = np.random.default_rng(0)
    numbers = {f"{2 * k}.weight": rng.normal(size=(3, 3)) for k in range(7)}
    net = fp.from_state_dict(dict(sorted(numbers.items())), activation="sigmoid", last="softmax")
    assert net.dtype == np.float64 and [layer.activation for layer in net.layers] == ["sigmoid"] * 6 + ["softmax"]
    for weight, theirs in zip(net.weights, numbers.values()):
        np.testing.assert_array_equal(weight, theirs.T)


def test_names_that_leave_no_number_out():
    """An activation then follows each linear layer, or its normalisation."""
    rng = np.random.default_rng(0)
    for names in (("fc1", "fc2", "fc3"), ("layers.0", "layers.1", "layers.2"), ("body", "neck", "head")):
        state = {}
        for name in names:
            state |= {f"{name}.weight": rng.normal(size=(3, 3)), f"{name}.bias": rng.normal(size=3)}
        assert fp.from_state_dict(state).layers == (fp.Dense(3, "relu"), fp.Dense(3, "relu"), fp.Dense(3))
    state = {
        "in.weight": rng.normal(size=(3, 2)),
        "norm.weight": np.ones(3),
        "norm.bias": np.zeros(3),
        "norm.running_mean": np.ones(3),
        "norm.running_var": np.ones(3),
        "norm.num_batches_tracked": np.int64(3),
        "out.weight": rng.normal(size=(1, 3)),
    }
    net = fp.from_state_dict(state, activation=fp.activations.leaky_relu(slope=0.3), epsilon=1e-3)
    assert net.layers == (
        fp.Dense(3, bias=False),
        fp.BatchNorm(fp.activations.leaky_relu(slope=0.3), epsilon=1e-3),
        fp.Dense(1, bias=False),
    )
    bare = fp.from_state_dict({"weight": np.ones((2, 3)), "bias": np.ones(2)})
    assert bare.layers == (fp.Dense(2),)


@pytest.mark.parametrize(
    "state, error, message",
    [
        ([1], TypeError, "takes names and their tensors, got list"),
        ({1: np.ones(2)}, TypeError, "takes names"),
        ({}, ValueError, "no weight of a linear layer"),
        ({"0.weight": np.ones(3), "0.bias": np.ones(3)}, ValueError, "no weight of a linear layer"),
        ({"0.weight": np.ones((2, 3, 3, 3))}, ValueError, "the layer '0' has no weight of one or two axes"),
        ({"0.bias": np.ones(3)}, ValueError, "the layer '0' has no weight"),
        (
            {"in.weight": np.ones((2, 3)), "norm.weight": np.ones(2)},
            ValueError,
            "'norm' has a weight alone.*give a layer norm its bias",
        ),
        ({"0.weight_orig": np.ones((2, 3))}, ValueError, "a weight is computed from it, so remove"),
        ({"0.parametrizations.weight.original0": np.ones((2, 3))}, ValueError, "a weight is computed from it"),
        ({"rnn.weight_ih_l0": np.ones((2, 3))}, ValueError, "'rnn.weight_ih_l0' is of no linear layer"),
        ({"0.weight": np.ones((2, 3)), "1.weight": np.ones((2, 3))}, ValueError, "takes 3 numbers, but gets 2"),
        ({"0.weight": np.ones((2, 3), np.float16)}, ValueError, "float16"),
        ({"0.weight": np.ones((2, 3)), "0.bias": np.ones(3)}, ValueError, r"bias"),
        ({"0.weight": np.ones((2, 3)), "1.weight": np.ones(3)}, ValueError, "'1'"),
        (
            {"0.weight": np.ones((2, 2)), "0.running_mean": np.ones(2)},
            ValueError,
            "one of running_mean and running_var",
        ),
    ],
)
def test_states_that_are_none(state, error, message):
    with pytest.raises(error, match=message):
        fp.from_state_dict(state)


@pytest.mark.parametrize("linear", [False, True])
def test_piecewise_linear_of_another_package(torch, linear):
    """Versions "A" and "B" of rtdl_num_embeddings have the same outputs and gradients."""
    rtdl = pytest.importorskip("rtdl_num_embeddings")
    X = np.random.default_rng(0).normal(size=(40, 3)).astype("float32")
    edges = [torch.tensor(np.quantile(column, np.linspace(0, 1, 6)), dtype=torch.float32) for column in X.T]
    theirs = rtdl.PiecewiseLinearEmbeddings(edges, 4, activation=False, version="B" if linear else "A")
    layer = fp.PiecewiseLinear([each.tolist() for each in edges], 4, "identity", linear=linear)
    net = fp.Network([3, layer], seed=0)
    first = net.weights[0].reshape(3, -1, 4)  # a matrix (inputs, outputs) for each column
    assert np.all(first[:, 1:] == 0) == linear
    net.parameters = np.random.default_rng(1).normal(size=net.n_parameters)
    ours = [torch.tensor(first[:, 0]), torch.tensor(net.biases[0].reshape(3, 4))] if linear else []
    ours += [torch.tensor(first[:, 1:] if linear else first)]
    ours += [] if linear else [torch.tensor(net.biases[0].reshape(3, 4))]
    for parameter, values in zip(theirs.parameters(), ours, strict=True):
        parameter.data = values
    x = torch.tensor(X, requires_grad=True)
    outputs = theirs(x).flatten(1)
    dY = np.random.default_rng(2).normal(size=(40, 12)).astype("float32")
    outputs.backward(torch.tensor(dY))
    np.testing.assert_allclose(net.forward(X), outputs.detach(), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(net.backward(dY), x.grad, rtol=1e-4, atol=1e-4)
    back = [parameter.grad.reshape(3, -1, 4) for parameter in theirs.parameters()]
    weight = np.concatenate([back[0], back[2]], axis=1) if linear else back[0]
    bias = back[1]
    np.testing.assert_allclose(net.gradient, np.append(weight.ravel(), bias.ravel()), rtol=1e-4, atol=1e-4)
