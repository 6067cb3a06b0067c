"""The pictures: they draw what they are given, on the axes they are given, and refuse wrong arguments."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from contrast import contrast

import fastprop as fp
from fastprop import plots
from fastprop._util import palette
from fastprop.plots import style
from fastprop.plots.histograms import first_layers

HISTORY = {
    "epoch": [1, 2, 3],
    "cost": [3.0, 2.0, 1.0],
    "validation_cost": [3.5, 1.5, 2.5],
    "seconds": [0.1, 0.1, 0.1],
    "accuracy": [0.2, 0.4, 0.6],
    "validation_accuracy": [0.3, 0.5, 0.4],
    "rate": [0.1, 0.01, 0.001],
}


@pytest.fixture
def plt():
    matplotlib = pytest.importorskip("matplotlib", reason="the `peers` extra is not installed")
    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    yield plt
    plt.close("all")


def blobs(n=120, seed=3):
    """Return rows with two inputs, in two classes that are far apart."""
    random = np.random.default_rng(seed)
    y = np.arange(n) % 2
    return random.normal(np.c_[4.0 * y - 2.0, np.zeros(n)], 0.5).astype(np.float32), y


def network(sizes, **how):
    return fp.Network(sizes, seed=0, **how)


def test_the_page_of_pictures_shows_each_and_stays_light():
    docs = Path(__file__).resolve().parents[2] / "docs"
    text = (docs / "plots.md").read_text(encoding="utf-8")
    shown = [docs / path for path in re.findall(r"!\[[^]]+\]\(([^)]+)\)", text)]
    assert sorted(shown) == sorted((docs / "plots").iterdir())
    assert max(path.stat().st_size for path in shown) < 200_000  # bytes: less than a photograph
    functions = [name for name in plots.__all__ if name.islower()]
    assert [name for name in functions if f"fp.plots.{name}(" not in text] == []


class TestWithoutMatplotlib:
    """What works without matplotlib, and the error where it is needed."""

    def test_plots_is_an_attribute_that_imports_no_matplotlib(self):
        code = (
            "import sys, fastprop as fp\n"
            "assert 'fastprop.plots' not in sys.modules\n"
            "assert fp.plots.curves and 'matplotlib' not in sys.modules\n"
            "from fastprop import plots\n"
            "assert plots is fp.plots"
        )
        subprocess.run([sys.executable, "-P", "-c", code], check=True)  # not the tree that the tests run in
        with pytest.raises(AttributeError, match="no attribute 'plotz'"):
            fp.plotz  # noqa: B018

    def test_the_message_names_the_extra(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "matplotlib", None)
        for draw in (
            lambda: plots.curves(HISTORY),
            lambda: plots.confusion_matrix([0, 1], [0, 1]),
            lambda: plots.weight_histograms(network([2, 1])),
            lambda: plots.rate_finder(network([2, 2]), *blobs(), loss="cross_entropy"),
        ):
            with pytest.raises(ImportError, match=r"pip install 'fastprop-nn\[plots\]'"):
                draw()

    @pytest.mark.parametrize("optimizer", ["sgd", fp.SGD(123.0, momentum=0.9), "adam"])
    def test_the_rate_found_is_one_to_train_with(self, optimizer):
        X, y = blobs()
        net = network([2, 16, 2])
        before = net.parameters.copy()
        found = plots.find_rate(net, X, y, loss="cross_entropy", optimizer=optimizer, batch_size=16)
        np.testing.assert_array_equal(net.parameters, before)
        assert len(found.rates) == len(found.costs) <= 60
        np.testing.assert_allclose(found.rates[0], 1e-5)
        np.testing.assert_allclose(found.rates[1:] / found.rates[:-1], 1e6 ** (1 / 59))

        def cost_after(rate):
            trained = network([2, 16, 2])
            there = {"sgd": fp.SGD(rate), "adam": fp.Adam(rate)}.get(optimizer, fp.SGD(rate, momentum=0.9))
            return trained.fit(X, y, loss="cross_entropy", optimizer=there, epochs=5, batch_size=16)["cost"][-1]

        assert cost_after(found.suggestion) < 0.2 * cost_after(found.suggestion / 100)

    def test_it_is_the_same_search_again_with_the_same_seed(self):
        X, y = blobs()
        search = [
            plots.find_rate(network([2, 8, 2]), X, y, loss="cross_entropy", seed=seed, n_rates=9) for seed in (1, 1, 2)
        ]
        np.testing.assert_array_equal(search[0].costs, search[1].costs)
        assert np.any(search[0].costs[:5] != search[2].costs[:5])

    def test_no_rate_is_suggested_where_none_lowers_the_cost(self):
        X = np.ones((64, 2))
        net = network([2, 1])
        net.parameters[:] = 0
        found = plots.find_rate(net, X, np.zeros(64), loss="half_mse")
        assert found.suggestion is None and not found.costs.any()

    def test_it_ends_where_training_diverges(self):
        X, _ = blobs()
        found = plots.find_rate(network([2, 1]), X * 100, X[:, 0], loss="half_mse", highest=1e6)
        assert len(found.rates) < 60 and np.isfinite(found.costs).all()

    def test_the_first_layers_give_what_the_last_of_them_passes_on(self):
        layers = [3, fp.Dense(5, "tanh"), fp.BatchNorm("relu"), fp.Dropout(0.5), fp.LayerNorm(), 2]
        net = network(layers, dtype="float64")
        X = np.random.default_rng(0).normal(size=(7, 3))
        net.state[:5], net.state[5:] = 0.1, 2.0
        a1 = np.tanh(X @ net.weights[0] + net.biases[0])
        a2 = np.maximum((a1 - 0.1) / np.sqrt(2.0 + 1e-5), 0)
        a4 = (a2 - a2.mean(axis=1, keepdims=True)) / np.sqrt(a2.var(axis=1, keepdims=True) + 1e-5)
        for n_layers, expected in ((1, a1), (2, a2), (4, a4), (5, net(X))):
            # sums of at most 5 numbers of about 1, in another order
            np.testing.assert_allclose(first_layers(net, n_layers)(X), expected, rtol=1e-12, atol=1e-13)


class TestRefusals:
    """Arguments are checked before anything is drawn."""

    @pytest.mark.parametrize(
        "history, message",
        [
            ([1, 2], "must be a History"),
            ({"epoch": [1], "seconds": [0.1]}, "nothing to draw"),
            ({"epoch": [], "cost": []}, "train for an epoch"),
            ({"cost": [1, 2], "rate": [1]}, "lists of one length"),
            ({"cost": ["low"]}, "'cost' of history must hold numbers"),
        ],
    )
    def test_histories(self, history, message):
        with pytest.raises((TypeError, ValueError), match=message):
            plots.curves(history)

    @pytest.mark.parametrize(
        "y, predicted, names, message",
        [
            ([0, 1], [0], None, "the same rows, got 2 and 1"),
            ([0.5, 1], [0, 1], None, "y must hold classes"),
            ([[0], [1]], [0, 1], None, r"use y.ravel\(\)"),
            ([], [], None, "a class for each row"),
            ([0, 2], [0, 1], ["a", "b"], "a name for each class"),
            (["a", "b"], ["a", "b"], ["a", "b"], "names are for the classes"),
        ],
    )
    def test_classes(self, y, predicted, names, message):
        with pytest.raises((TypeError, ValueError), match=message):
            plots.confusion_matrix(y, predicted, names=names)

    @pytest.mark.parametrize(
        "y, predicted, message",
        [
            ([1.0, 2.0], [1.0], "the same rows, got 2 and 1"),
            ([1.0, np.nan], [1.0, 2.0], r"y\[1\] is nan"),
            ([1.0, 2.0], np.ones((2, 3)), r"predicted\[:, 0\]"),
            (["a"], [1.0], "real numbers"),
        ],
    )
    def test_numbers(self, y, predicted, message):
        with pytest.raises((TypeError, ValueError), match=message):
            plots.prediction_error(y, predicted)

    @pytest.mark.parametrize(
        "sizes, how, message",
        [
            ([1, 2], {}, "two inputs or more"),
            ([3, 2], {"columns": (0, 0)}, "two different inputs of the network, 0 to 2"),
            ([3, 2], {"columns": (0, 3)}, "two different"),
            ([3, 2], {"columns": 1}, "two different"),
            ([3, 2], {"fixed": [0, 0]}, r"fixed must have shape \(3,\)"),
            ([3, 2], {"resolution": 1}, "at least 2"),
            ([3, 2], {"names": ["a"]}, "each of the 2 classes"),
            ([3, 2], {"axis_names": "ab"}, "must be 2 texts"),
            ([3, 2], {"y": [0.5, 1.0]}, "use y.astype"),
            ([3, 2], {"y": [0, 2]}, "must be 0 to 1, got 0 to 2"),
            ([3, 2], {"y": [0]}, "each of the 2 rows"),
        ],
    )
    def test_planes(self, sizes, how, message):
        how = {"y": [0, 1], **how}
        with pytest.raises((TypeError, ValueError), match=message):
            plots.decision_boundary(network(sizes), np.ones((2, sizes[0])), **how)

    def test_networks(self):
        for draw in (plots.weight_histograms, plots.DecisionBoundaryDisplay.from_network):
            with pytest.raises(TypeError, match="must be a Network, got list"):
                draw([2, 1], *([] if draw is plots.weight_histograms else ([[0, 0]], [0])))
        with pytest.raises(ValueError, match="one member"):
            plots.activation_histograms(network([2, 3, 1], members=2), [[0, 0]])

    @pytest.mark.parametrize(
        "how, message",
        [
            ({"lowest": 0}, "lowest must be a number above 0"),
            ({"lowest": 1, "highest": 1}, "highest must be a number above 1"),
            ({"n_rates": 4}, "at least 5"),
            ({"batch_size": 121}, "more than the 120 rows"),
            ({"optimizer": "rprop"}, "RPROP finds its own steps"),
            ({"loss": "crossentropy"}, "did you mean 'cross_entropy'"),
        ],
    )
    def test_searches(self, how, message):
        with pytest.raises(ValueError, match=message):
            plots.find_rate(network([2, 2]), *blobs(), **{"loss": "cross_entropy", **how})


@pytest.mark.peer
class TestDrawn:
    def test_curves_are_the_columns_of_the_history(self, plt):
        display = plots.CurvesDisplay.from_history(HISTORY)
        assert [axes.get_title(loc="left") for axes in display.ax_] == ["cost", "accuracy", "rate"]
        cost = display.ax_[0]
        drawn = {line.get_label(): line for line in cost.lines}
        np.testing.assert_array_equal(drawn["training"].get_xydata(), np.c_[HISTORY["epoch"], HISTORY["cost"]])
        np.testing.assert_array_equal(drawn["validation"].get_ydata(), HISTORY["validation_cost"])
        assert cost.get_title(loc="right") == "lowest validation: 1.5, epoch 2"
        assert [axes.get_yscale() for axes in display.ax_] == ["linear", "linear", "log"]
        assert display.figure_ is cost.figure

    def test_curves_of_what_fit_returns(self, plt):
        X, y = blobs()
        history = network([2, 4, 2]).fit(X, y, loss="cross_entropy", optimizer=fp.SGD(0.1), epochs=2)
        _, given = plt.subplots()
        assert plots.curves(history, ax=given) is given
        np.testing.assert_array_equal(given.lines[0].get_ydata(), history["cost"])

    def test_gaps_in_a_column_are_gaps(self, plt):
        axes = plots.curves({"cost": [3, 2, 1], "validation_cost": [None, 2, None]})
        np.testing.assert_array_equal(axes.lines[1].get_ydata(), [np.nan, 2, np.nan])
        assert axes.get_title(loc="right") == "lowest validation: 2, epoch 2"

    def test_a_display_draws_again_on_other_axes(self, plt):
        display = plots.CurvesDisplay.from_history(HISTORY)
        _, three = plt.subplots(1, 3)
        assert display.plot(three) is display
        assert list(display.ax_) == list(three)
        figure, one = plt.subplots()
        parts = display.plot(one).ax_
        assert len(parts) == 3 and all(axes.figure is figure for axes in parts) and not one.axison

    def test_axes_that_do_not_fit_are_refused(self, plt):
        _, two = plt.subplots(1, 2)
        with pytest.raises(ValueError, match="has 3 panels, got 2 axes"):
            plots.curves(HISTORY, ax=two)
        with pytest.raises(TypeError, match="must be matplotlib axes"):
            plots.curves(HISTORY, ax="here")

    def test_the_confusion_matrix_counts(self, plt):
        display = plots.ConfusionMatrixDisplay.from_predictions(list("babbbbb"), list("bbabaab"))
        assert display.matrix.tolist() == [[0, 1], [3, 3]] and display.names == ["a", "b"]
        texts = {text.get_position(): text.get_text() for text in display.ax_.texts}
        assert texts == {(1.5, 0.5): "1", (0.5, 1.5): "3", (1.5, 1.5): "3"}  # x: predicted, y: true
        assert display.ax_.get_title(loc="right") == "3 of 7 right"
        assert [label.get_text() for label in display.ax_.get_xticklabels()] == ["a", "b"]
        shades = display.ax_.collections[0].get_array()[..., 3]
        assert shades[0, 0] == 0 and shades[0, 1] == shades.max()  # no row; all of the row
        assert 0 < shades[1, 0] == shades[1, 1] < 1

    def test_scores_and_networks_are_taken_at_their_largest(self, plt):
        X, y = blobs()
        net = network([2, 8, 2])
        net.fit(X, y, loss="cross_entropy", optimizer=fp.SGD(0.1), epochs=5)
        expected = np.zeros((2, 2), int)
        np.add.at(expected, (y, net(X).argmax(axis=1)), 1)
        assert plots.ConfusionMatrixDisplay.from_network(net, X, y).matrix.tolist() == expected.tolist()
        one = network([2, 1])
        one.weights[0][:, 0] = 1, 0
        expected = plots.ConfusionMatrixDisplay.from_predictions(y, (X[:, 0] > 0).astype(int)).matrix
        assert plots.ConfusionMatrixDisplay.from_network(one, X, y).matrix.tolist() == expected.tolist()

    @pytest.mark.parametrize("n", [2, 16, 17, 60])
    def test_many_classes_have_fewer_words(self, plt, n):
        y = np.arange(n)
        axes = plots.confusion_matrix(y, y, names=[f"class {k} of the many" for k in y])
        axes.figure.canvas.draw()
        assert len(axes.texts) == (n if n <= 16 else 0)
        assert len(axes.get_xticks()) == min(n, 24)

    def test_predictions_and_residuals(self, plt):
        y, predicted = [1.0, 2.0, 4.0], np.array([[1.0], [3.0], [3.0]])
        left, right = plots.prediction_error(y, predicted, name="price ($)")
        np.testing.assert_array_equal(left.collections[0].get_offsets(), [[1, 1], [2, 3], [4, 3]])
        np.testing.assert_array_equal(right.collections[0].get_offsets(), [[1, 0], [3, -1], [3, 1]])
        assert left.get_title(loc="right") == "RMSE 0.8165, R2 0.571"  # sqrt(2/3); 1 - 2 / (14/3)
        left.figure.canvas.draw()
        assert left.get_xlabel() == r"true price (\$)"

    def test_weights_and_biases_by_layer(self, plt):
        net = network([5, fp.Dense(4, "relu"), fp.Dense(3, bias=False)])
        display = plots.HistogramsDisplay.from_weights(net)
        assert [axes.get_title(loc="left").strip() for axes in display.ax_] == ["weights[0]", "weights[1]"]
        np.testing.assert_array_equal(display.panels[0].values["weights"], net.weights[0].ravel())
        assert [list(panel.values) for panel in display.panels] == [["weights", "biases"], ["weights"]]
        # each histogram sums to 100 %
        for axes in display.ax_:
            for patch in axes.patches:
                corners = patch.get_xy()
                tops = corners[1:, 1][np.diff(corners[:, 0]) > 0]
                np.testing.assert_allclose(tops.sum(), 100, rtol=1e-9)

    def test_activations_by_layer(self, plt):
        net = network([2, fp.Dense(4, "relu"), fp.Dropout(0.5), 1])
        net.biases[0][0] = -1e6  # a unit that is 0 in every row
        X, _ = blobs(10)
        display = plots.HistogramsDisplay.from_activations(net, X)
        hidden, output = display.panels
        np.testing.assert_array_equal(hidden.values["activations"].reshape(10, 4), first_layers(net, 1)(X))
        np.testing.assert_array_equal(output.values["activations"], net(X).ravel())
        always = int((first_layers(net, 1)(X) == 0).all(axis=0).sum())
        assert hidden.note.endswith(f", {always} always") and always >= 1
        assert output.title == "3: Dense(1)"
        assert len(plots.activation_histograms(net, X)) == len(plots.weight_histograms(net)) == 2

    def test_the_decision_boundary_lies_where_the_network_decides(self, plt):
        X, y = blobs()
        X = np.c_[X, np.full(len(X), 7.0, np.float32)]
        net = network([3, 2])
        net.weights[0][:] = [[-1, 1], [0, 0], [0, 0]]  # class 1 where x1 > 0.25
        net.biases[0][:] = 0.25, -0.25
        display = plots.DecisionBoundaryDisplay.from_network(net, X, y, names=["left", "right"], resolution=50)
        lines = [line for c in display.ax_.collections for line in c.get_paths() if len(line.vertices) == 50]
        assert lines
        for line in lines:
            np.testing.assert_allclose(line.vertices[:, 0], 0.25, atol=1e-5)
        colours = display.ax_.images[0].get_array()
        assert (colours[:, display.x1 < 0.25, 2] < 0.1).all()  # class 0: orange
        assert (colours[:, display.x1 > 0.25, 2] > 0.6).all()  # class 1: blue
        assert [text.get_text() for text in display.ax_.get_legend().get_texts()] == ["left", "right"]
        assert plots.decision_boundary(net, X, y, ax=display.ax_) is display.ax_

    def test_other_inputs_are_fixed_at_medians_or_as_told(self, plt):
        net = network([3, 1])
        net.weights[0][:, 0] = 0, 10, 0
        net.biases[0][:] = 0
        X = np.array([[0, 1, 0], [1, 2, 1], [2, 6, 3]])
        make = plots.DecisionBoundaryDisplay.from_network
        assert set(make(net, X, [0.0, 1.0, 2.0], columns=(2, 0)).outputs.ravel()) == {20.0}
        assert set(make(net, X, [0, 1, 1], columns=(2, 0), fixed=[0, 0.5, 0]).outputs.ravel()) == {5.0}
        assert set(make(net, X[:2], [0, 1], columns=(2, 0)).outputs.ravel()) == {10.0}  # a value that occurs
        display = make(net, X, [0, 1, 1], columns=[1, 2])
        np.testing.assert_allclose(display.outputs[3, :, 0], 10 * display.x1, rtol=1e-5)
        assert (display.ax_.get_xlabel(), display.ax_.get_ylabel()) == ("x2", "x3")

    def test_the_rate_found_is_marked(self, plt):
        display = plots.RateFinderDisplay.from_network(network([2, 8, 2]), *blobs(), loss="cross_entropy")
        assert display.suggestion == display.ax_.lines[-1].get_xdata()[0]
        search = display.search
        np.testing.assert_array_equal(display.ax_.lines[0].get_xydata(), np.c_[search.rates, search.costs])
        _, given = plt.subplots()
        assert plots.rate_finder(network([2, 8, 2]), *blobs(), loss="cross_entropy", ax=given) is given

    def test_words_of_a_user_are_drawn_as_they_are(self, plt):
        axes = plots.confusion_matrix([0, 1], [0, 1], names=["$x^", "a_{$\\frac$"])
        axes.figure.canvas.draw()  # mathematics that cannot be read would raise here
        assert "\\$x^" in [label.get_text() for label in axes.get_xticklabels()]

    def test_text_is_read_on_the_strongest_tint_of_the_confusion_matrix(self, plt):
        from matplotlib.colors import to_hex

        for theme in ("light", "dark"):
            with plt.rc_context(style.look(theme)):
                axes = plots.confusion_matrix([0, 1], [0, 1])
            *tint, opacity = axes.collections[0].get_array()[0, 0]
            page = np.array(axes.get_facecolor()[:3])
            shown = to_hex(opacity * np.array(tint) + (1 - opacity) * page)
            assert contrast(shown, axes.texts[0].get_color()) >= palette.TEXT

    def test_curves_have_the_colours_of_the_background_and_held_out_rows_are_dashed(self, plt):
        for theme in ("light", "dark"):
            with plt.rc_context(style.look(theme)):
                lines = plots.curves({"cost": [2, 1] * 5, "validation_cost": [3, 2] * 5}).lines
            drawn = {line.get_label(): (line.get_color(), line.get_linestyle()) for line in lines[:2]}
            of = {name: getattr(palette.COLOURS[name], theme) for name in ("training", "held-out")}
            assert drawn == {"training": (of["training"], "-"), "validation": (of["held-out"], "--")}

    def test_more_classes_than_colours_have_other_marks(self):
        assert len({(k % style.N_COLOURS, style.marker(k)) for k in range(30)}) == 30

    @pytest.mark.parametrize("name", ["default", "dark_background"])
    def test_words_have_the_colour_of_the_figure(self, plt, name):
        with plt.style.context(name):
            axes = plots.curves({"cost": [2, 1]})
            assert axes.title.get_color() == axes.xaxis.label.get_color() == plt.rcParams["text.color"]
