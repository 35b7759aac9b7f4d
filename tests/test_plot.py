"""Every picture: what is drawn is the data, and labels and units say what it is."""
import subprocess
import sys

import numpy as np
import pytest

import fastnn as fnn
from fastnn.activations import ACTIVATIONS
from fastnn.data import load_digits

pytest.importorskip("matplotlib", reason="the extra [plot] is not installed")
from matplotlib import pyplot  # noqa: E402
from matplotlib.colors import to_rgb  # noqa: E402

from fastnn import plot  # noqa: E402
from fastnn.plot import style  # noqa: E402
from fastnn.profiling import OpProfile, Profile  # noqa: E402

X, Y = load_digits()


@pytest.fixture(autouse=True)
def never_shown(monkeypatch):
    monkeypatch.setattr(pyplot, "show", lambda *_, **__: pytest.fail("show was called"))


@pytest.fixture(scope="module")
def trained():
    """(model, history, monitor) of a short training."""
    layers = [fnn.Flatten(), fnn.Standardize(), fnn.Dense(12, "tanh"), fnn.Dense(10, "softmax")]
    model, monitor = fnn.Sequential(layers, input_shape=(8, 8), seed=0), fnn.Monitor()
    model.compile("adam", metrics=["accuracy"])
    return model, model.fit(X, Y, epochs=3, validation_split=0.2, callbacks=monitor, verbose=0), monitor


def drawn(ax):
    """The lines by label: (x, y)."""
    return {line.get_label(): np.asarray(line.get_data(), float) for line in ax.lines}


def legend(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def labels(ax):
    return ax.get_xlabel(), ax.get_ylabel()


class TestStyle:
    def test_lines_differ_without_colour(self):
        lines = [style.line(i) for i in range(len(style.COLOURS))]
        assert len({str(each["linestyle"]) for each in lines}) == len(lines)
        assert len({style.point(i)["marker"] for i in range(10)}) == 10

    def test_order_survives_greyscale(self):
        grey = [np.dot(to_rgb(style.depth(i, 6)["color"]), [0.299, 0.587, 0.114]) for i in range(6)]
        assert np.all(np.diff(grey) > 0.05) and grey[-1] < 0.85  # and is seen on white

    def test_colours_are_seen_on_white(self):
        """Contrast of at least 2 for any line (WCAG's formula), black and blue at least 4.5."""
        def contrast(colour):
            linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
            return 1.05 / (np.dot(linear, [0.2126, 0.7152, 0.0722]) + 0.05)

        ratios = [contrast(colour) for colour in style.COLOURS]
        assert min(ratios) > 2 and ratios[0] > 4.5 and ratios[-1] > 4.5

    def test_many_lines_have_a_legend_of_two_columns(self):
        for n, columns in ((8, 1), (9, 2)):
            ax = plot.curves(None, {str(i): [i, i] for i in range(n)})
            assert ax.get_legend()._ncols == columns and len(ax.get_legend().get_texts()) == n

    def test_axes_given_are_used(self):
        ax = plot.figure()
        assert plot.activation("relu", ax=ax) is ax
        assert not pyplot.get_fignums()

    def test_too_few_axes(self, trained):
        with pytest.raises(ValueError, match="ax: expected 2 Axes, got 1"):
            plot.histograms(trained[2], ax=plot.figure())

    def test_file_is_small_and_has_a_palette(self, tmp_path):
        from PIL import Image
        plot.save(plot.activation("tanh"), tmp_path / "a.png")
        with Image.open(tmp_path / "a.png") as image:
            assert image.mode == "P" and image.width == 900
        assert (tmp_path / "a.png").stat().st_size < 60_000

    def test_without_matplotlib(self):
        code = ("import sys; sys.modules['matplotlib'] = None\nfrom fastnn import plot\n"
                "try:\n    plot.activation('relu')\nexcept ImportError as error:\n    print(error)")
        run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert run.stdout.strip() == 'fastnn.plot needs matplotlib: pip install "fastnn-cpu[plot]"'

    def test_everything_listed_is_there(self):
        assert all(callable(getattr(plot, name)) for name in plot.__all__)


class TestCurves:
    def test_history(self, trained):
        run = trained[1]
        loss, accuracy = plot.history(run)
        assert labels(loss) == ("", "loss") and labels(accuracy) == ("epoch", "accuracy")
        np.testing.assert_array_equal(drawn(loss)["training"], [[1, 2, 3], run["loss"]])
        np.testing.assert_array_equal(drawn(loss)["validation"], [[1, 2, 3], run["val_loss"]])
        np.testing.assert_array_equal(drawn(accuracy)["validation"][1], run["val_accuracy"])
        best = int(np.argmin(run["val_loss"]))
        assert legend(loss)[2] == f"lowest: {run['val_loss'][best]:.3g} after epoch {best + 1}"

    def test_history_of_one_name_on_given_axes(self, trained):
        ax = plot.figure()
        assert trained[1].plot(names="accuracy", ax=ax) is ax and ax.get_ylabel() == "accuracy"
        other = plot.figure()
        assert plot.history(trained[1], ax=other, log=True).get_yscale() == "log"
        assert other.get_ylabel() == "loss"

    def test_history_with_a_learning_rate(self, trained):
        rate = fnn.StepDecay(0.1, factor=0.5, every=20)
        axes = plot.history(trained[1], "loss", learning_rate=rate, steps_per_epoch=10)
        assert labels(axes[1]) == ("epoch", "learning rate")
        x, y = axes[1].lines[0].get_data()
        assert x[[0, -1]].tolist() == [1.0, 3.9] and y[[0, 19, 20]].tolist() == [0.1, 0.1, 0.05]
        axes = plot.history(trained[1], "loss", learning_rate=[3.0, 2.0, 1.0])
        assert axes[1].lines[0].get_xydata().tolist() == [[1, 3], [2, 2], [3, 1]]

    def test_history_errors(self, trained):
        with pytest.raises(ValueError, match="unknown name in the history 'los', did you mean 'loss'"):
            plot.history(trained[1], "los")
        with pytest.raises(ValueError, match="history: expected what fit returned"):
            plot.history(fnn.History())

    def test_compare(self, trained):
        run = trained[1]
        ax = plot.compare({"one": run, "two": {"val_loss": [3.0, 2.0]}}, log=True)
        assert labels(ax) == ("epoch", "validation loss") and ax.get_yscale() == "log"
        np.testing.assert_array_equal(drawn(ax)["one"], [[1, 2, 3], run["val_loss"]])
        np.testing.assert_array_equal(drawn(ax)["two"], [[1, 2], [3, 2]])

    def test_schedule(self):
        decay, cycle = fnn.CosineDecay(0.1, total=50), fnn.OneCycle(0.2, total=50)
        ax = plot.schedule({"cosine": decay, "cycle": cycle}, 50)
        assert labels(ax) == ("update", "learning rate") and ax.get_ylim()[0] == 0
        np.testing.assert_allclose(drawn(ax)["cosine"][1], [decay(t) for t in range(50)])
        np.testing.assert_allclose(drawn(ax)["cycle"][1], [cycle(t) for t in range(50)])
        assert len(decay.plot(7).lines[0].get_xdata()) == 7

    def test_learning_rate_search(self):
        rates, losses = np.geomspace(1e-4, 1, 5), np.array([2.0, 1.9, 1.0, 0.7, 3.0])
        found = fnn.LearningRateSearch(rates, losses, losses / 2, {0.1: 0.5, 0.5: np.nan}, 0.1)
        ax = found.plot()
        assert labels(ax) == ("learning rate", "loss") and ax.get_xscale() == "log"
        np.testing.assert_array_equal(drawn(ax)["loss of each step"], [rates, losses])
        np.testing.assert_array_equal(drawn(ax)["running average"], [rates, losses / 2])
        assert drawn(ax)["last loss of a trial training"].tolist() == [[0.1], [0.5]]  # none that diverged
        assert drawn(ax)["suggested: 0.1"][0].tolist() == [0.1, 0.1]


class TestLayers:
    def test_gradient_norms(self, trained):
        data = trained[2].data
        ax = plot.gradient_norms(trained[2])
        assert ax.get_yscale() == "log" and list(drawn(ax)) == ["dense", "dense_1"]
        assert labels(ax) == ("epoch", "norm of the gradient of the parameters")
        np.testing.assert_array_equal(drawn(ax)["dense"], [range(4), data["layers"]["dense"]["gradient"]])
        ax = plot.gradient_norms(trained[2], of="pre-activations")
        np.testing.assert_array_equal(drawn(ax)["dense_1"][1], data["layers"]["dense_1"]["delta"])
        with pytest.raises(ValueError, match="unknown of 'weights'"):
            plot.gradient_norms(trained[2], of="weights")

    def test_update_ratios(self, trained):
        ax = trained[2].plot()
        assert labels(ax) == ("epoch", "norm of an update / norm of the weights") and ax.get_yscale() == "log"
        np.testing.assert_array_equal(drawn(ax)["dense"][1],
                                      trained[2].data["layers"]["dense"]["update_ratio"])
        assert drawn(ax)["guide: 0.001"][1].tolist() == [1e-3, 1e-3]

    def test_saturation(self, trained):
        ax = trained[2].plot("saturation")
        assert labels(ax) == ("epoch", "share") and ax.get_ylim() == (-0.03, 1.03)
        assert legend(ax) == ["dense, saturated", "dense, dead"]  # softmax is in the loss
        np.testing.assert_array_equal(drawn(ax)["dense, saturated"][1],
                                      trained[2].data["layers"]["dense"]["saturated"])

    def test_saved_figures_are_drawn_too(self, trained):
        ax = plot.saturation(trained[2].to_dict())
        assert legend(ax) == ["dense, saturated", "dense, dead"]

    def test_histograms(self, trained):
        axes = plot.histograms(trained[2])
        assert [ax.get_title() for ax in axes] == ["dense", "dense_1"]
        assert labels(axes[1]) == ("epoch", "activations") and labels(axes[0]) == ("", "activations")
        shares = np.asarray(axes[0].collections[0].get_array())
        assert shares.shape[-1] == 4 and np.all(shares.sum(axis=0) > 0.97)
        assert axes[0].figure.axes[2].get_ylabel() == "share"
        ax = trained[2].plot("histograms", layer="dense_1", of="gradients")
        assert ax.get_title() == "dense_1" and ax.get_ylabel() == "gradients"

    def test_rebinned_keeps_shares(self):
        from fastnn.plot.layers_over_time import rebinned
        counts = np.array([[0, 10, 0, 0.0], [5, 0, 0, 5]])
        edges = np.array([[0, 1, 2, 3, 4.0], [-4, -2, 0, 2, 4]])
        common, shares = rebinned(counts, edges, bins=8)
        assert common.tolist() == list(range(-4, 5))
        assert shares.tolist() == [[0, 0, 0, 0, 0, 1, 0, 0], [0.25, 0.25, 0, 0, 0, 0, 0.25, 0.25]]

    def test_steps_are_the_unit_where_they_were_counted(self):
        data = {"moments": ["before the training", "step 10", "step 20"],
                "layers": {"a": {"update_ratio": [1e-3, 2e-3, None]}}}
        ax = plot.update_ratios(data)
        assert ax.get_xlabel() == "step" and drawn(ax)["a"][0].tolist() == [0, 10, 20]

    def test_errors(self, trained):
        with pytest.raises(ValueError, match="monitor: expected a fnn.Monitor that has seen a training"):
            plot.saturation(fnn.Monitor())
        with pytest.raises(ValueError, match="unknown layer 'dens', did you mean 'dense'"):
            plot.histograms(trained[2], "dens")
        with pytest.raises(ValueError, match="unknown figure 'loss'"):
            trained[2].plot("loss")
        with pytest.raises(ValueError, match="expected histograms, got none"):
            plot.histograms({"moments": ["before the training"], "layers": {"a": {}}})


class TestChecks:
    def test_gradient_check(self, trained):
        check = fnn.check_gradients(trained[0], X[:6], Y[:6], samples=5)
        ax = check.plot()
        assert [text.get_text() for text in ax.get_yticklabels()] == [
            t.name if t.part == "data" else f"{t.name}, {t.part}" for t in check.tensors]
        assert ax.get_xscale() == "log" and "relative error" in ax.get_xlabel()
        np.testing.assert_allclose(drawn(ax)["allowed"][0], [t.tolerance for t in check.tensors])
        errors = np.array([t.error for t in check.tensors])
        shown = drawn(ax)["passed"][0]
        np.testing.assert_allclose(shown[errors > 0], errors[errors > 0])
        assert "failed" not in legend(ax) and "float64" in ax.get_title()

    def test_a_failure_is_marked(self):
        own = (np.tanh, lambda z: 1 - np.tanh(z))  # the square is missing
        model = fnn.Sequential([fnn.Dense(4, own), fnn.Dense(3, "softmax")], input_shape=(5,), seed=0)
        model.compile()
        check = fnn.check_gradients(model, np.eye(5), np.arange(5) % 3)
        ax = plot.gradient_check(check)
        failed = [i for i, t in enumerate(check.tensors) if not t.passed]
        assert failed and drawn(ax)["failed"][1].tolist() == failed

    def test_gradient_error(self):
        steps = np.geomspace(1e-8, 1, 9)
        curve = fnn.GradientErrorCurve(steps, steps * 2, steps ** 2, "float32")
        ax = curve.plot()
        assert labels(ax) == ("step h of the differences", "relative error")
        assert ax.get_xscale() == ax.get_yscale() == "log" and "float32" in ax.get_title()
        np.testing.assert_array_equal(drawn(ax)["(f(h) - f(0)) / h"], [steps, steps * 2])
        np.testing.assert_array_equal(drawn(ax)["(f(h) - f(-h)) / 2h"], [steps, steps ** 2])

    def test_profile(self):
        ops = tuple(OpProfile("dense", f"op{i}", 10.0 + i, 100_000 * i, 4096) for i in range(5))
        whole = Profile(ops, 55.0, 32, "native", 2, peak=50.0)
        ax = whole.plot(n=3)
        assert [text.get_text() for text in ax.get_yticklabels()] == [
            "dense: op2", "dense: op3", "dense: op4", "2 other ops"]
        time, peak = ax.containers
        assert [bar.get_width() for bar in time] == [12, 13, 14, 21]
        assert [bar.get_width() for bar in peak] == [4.0, 6.0, 8.0, 2.0]
        assert ax.texts[0].get_text() == "17 GFLOP/s, 33%" and ax.get_xlabel() == "microseconds"
        assert ax.get_title() == "a step of 32 rows: 55 us\nnative backend, 2 threads, peak 50 GFLOP/s"
        alone = Profile(ops, 55.0, 32, "numpy", 1, peak=None)
        assert len(alone.plot().containers) == 1 and "peak" not in alone.plot().get_title()


class TestActivation:
    @pytest.mark.parametrize("name", ACTIVATIONS)
    def test_every_one(self, name):
        """The values, and a slope whose integral is the rise."""
        ax, row = plot.activation(name), ACTIVATIONS[name]
        z, y = drawn(ax)[f"{name}, f(z)"]
        np.testing.assert_array_equal(y, row.function(z, row.alpha or 0.0))
        slope = drawn(ax)["its derivative, f'(z)"][1]
        kinks = 1 + len(row.kinks)  # half a cell's error at each
        assert np.trapezoid(slope, z) == pytest.approx(y[-1] - y[0], rel=1e-3, abs=0.01 * kinks)
        assert labels(ax) == ("z", "f(z), f'(z)")

    def test_saturated_zone(self):
        ax = plot.activation("tanh")
        left, right = (patch.get_extents().transformed(ax.transData.inverted()) for patch in ax.patches)
        edge = np.arctanh(np.sqrt(1 - 0.06))  # where 1 - tanh^2 is 0.06
        assert left.x0 == pytest.approx(-6) and left.x1 == pytest.approx(-edge, abs=0.02)
        assert right.x0 == pytest.approx(edge, abs=0.02) and legend(ax)[0] == "saturated"
        assert not plot.activation("identity").patches

    def test_own_functions(self):
        ax = plot.activation((np.sin, np.cos), span=(0, 1))
        np.testing.assert_allclose(drawn(ax)["its derivative, f'(z)"][1][-1], np.cos(1))

    def test_rows(self):
        with pytest.raises(ValueError, match="activation: expected one that works element by element"):
            plot.activation("softmax")
