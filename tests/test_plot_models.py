"""Pictures of what models are and say: images, classes, surfaces, the network itself."""
import numpy as np
import pytest

import fastnn as fnn
from fastnn.data import load_digits
from fastnn.divergence import DivergenceError

pytest.importorskip("matplotlib", reason="the extra [plot] is not installed")

from fastnn import plot  # noqa: E402
from fastnn.plot import style  # noqa: E402

X, Y = load_digits()


@pytest.fixture(scope="module")
def trained():
    """A classifier, not quite trained."""
    layers = [fnn.Flatten(), fnn.Standardize(), fnn.Dense(12, "tanh"), fnn.Dense(10, "softmax")]
    model = fnn.Sequential(layers, input_shape=(8, 8), seed=0)
    model.compile("adam")
    model.fit(X, Y, epochs=3, verbose=0)
    return model


def drawn(ax):
    """The lines by label: (x, y)."""
    return {line.get_label(): np.asarray(line.get_data(), float) for line in ax.lines}


def legend(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def labels(ax):
    return ax.get_xlabel(), ax.get_ylabel()


class TestImages:
    def test_weights(self, trained):
        ax = plot.weights(trained, n=4)
        image = np.ma.filled(ax.images[0].get_array(), np.nan)
        w = trained.layers[2].weight
        kept = np.sort(np.argsort(-np.linalg.norm(w, axis=0))[:4])
        assert image.shape == (17, 26)  # three of them in a row
        np.testing.assert_allclose(image[:8, 9:17], w[:, kept[1]].reshape(8, 8))
        np.testing.assert_allclose(image[9:, :8], w[:, kept[3]].reshape(8, 8))
        assert ax.images[0].get_clim() == pytest.approx((-abs(w[:, kept]).max(), abs(w[:, kept]).max()))
        assert ax.figure.axes[1].get_ylabel() == "weight"

    def test_filters(self):
        filters = np.random.default_rng(0).standard_normal((3, 4, 2, 2))
        image = np.ma.filled(plot.weights(filters).images[0].get_array(), np.nan)
        np.testing.assert_allclose(image[:, :4], filters[:, :, :, 0].mean(axis=2))

    def test_shape_must_fit(self):
        with pytest.raises(ValueError, match="shape: expected .* of 12 numbers, got None"):
            plot.weights(np.ones((12, 3)))
        assert plot.weights(np.ones((12, 3)), shape=(3, 4)).images

    def test_worst_errors(self, trained):
        model = trained
        ax = plot.worst_errors(model, X, Y, n=7)
        given = model.predict(X)
        wrong = np.flatnonzero(given.argmax(axis=1) != Y)
        worst = wrong[np.argsort(given[wrong, Y[wrong]], kind="stable")][:7]
        for row, image, text in zip(worst, ax.images, ax.texts, strict=True):
            np.testing.assert_array_equal(image.get_array(), X[row])
            said = given[row].argmax()
            assert text.get_text() == f"{Y[row]}, said {said}\n{given[row, said]:.0%} sure"
        assert ax.get_title() == f"{len(wrong)} of 1797 wrong ({len(wrong) / 1797:.1%})"

    def test_no_errors(self):
        class Right:
            def predict(self, X):
                return np.eye(10)[Y[:5]]

        ax = plot.worst_errors(Right(), X[:5], Y[:5])
        assert not ax.images and ax.get_title() == "0 of 5 wrong (0.0%)"


class TestClasses:
    def test_decision_boundary(self):
        class Side:
            """Class 1 on the right, by one output or by two."""

            def __init__(self, outputs):
                self.outputs = outputs

            def predict(self, points):
                p = 1 / (1 + np.exp(-4 * points[:, :1]))
                return p if self.outputs == 1 else np.concatenate([1 - p, p], axis=1)

        points, y = np.array([[-1.0, -1], [1, 1], [-1, 1], [1, -1]]), np.array([0, 1, 0, 1])
        for outputs in (1, 2):
            ax = plot.decision_boundary(Side(outputs), points, y, resolution=50, names=("width", "height"))
            assert labels(ax) == ("width", "height") and legend(ax) == ["0", "1"]
            shades = ax.images[0].get_array()
            assert shades[25, 0, 2] > shades[25, 0, 0]  # blue on the left
            assert shades[25, -1, 0] > shades[25, -1, 2]  # orange on the right
            border = np.concatenate([p.vertices for c in ax.collections[:1] for p in c.get_paths()])
            np.testing.assert_allclose(border[:, 0], 0, atol=1e-6)
            np.testing.assert_array_equal(ax.collections[1].get_offsets(), points[y == 0])

    def test_two_features_only(self, trained):
        with pytest.raises(ValueError, match=r"X: expected two features, shape \(n, 2\), got \(1797, 64\)"):
            plot.decision_boundary(trained, X.reshape(-1, 64), Y)

    def test_confusion_matrix(self, trained):
        given = trained.predict(X)
        ax = plot.confusion_matrix(Y, given)
        counts = np.zeros((10, 10), int)
        for t, p in zip(Y, given.argmax(axis=1), strict=True):
            counts[t, p] += 1
        got = np.zeros((10, 10), int)
        for text in ax.texts:
            j, i = text.get_position()
            got[i, j] = int(text.get_text())
        np.testing.assert_array_equal(got, counts)
        np.testing.assert_allclose(ax.images[0].get_array(), counts / counts.sum(axis=1, keepdims=True))
        assert labels(ax) == ("predicted class", "true class")
        assert ax.get_title().startswith(f"{np.trace(counts)} of 1797 right")

    def test_confusion_of_one_output(self):
        ax = plot.confusion_matrix([0, 1, 1], [[0.2], [0.9], [0.4]], labels=["no", "yes"])
        texts = {(*text.get_position(), text.get_text()) for text in ax.texts}
        assert texts == {(0, 0, "1"), (1, 1, "1"), (0, 1, "1")}
        assert [t.get_text() for t in ax.get_xticklabels()] == ["no", "yes"]
        with pytest.raises(ValueError, match="y_pred"):
            plot.confusion_matrix([0, 1], [0])

    def test_predictions(self):
        ax = plot.predictions([1.0, 2.0, 3.0], [[1.0], [2.0], [6.0]])
        np.testing.assert_array_equal(ax.collections[0].get_offsets(), [[1, 1], [2, 2], [3, 6]])
        assert labels(ax) == ("true", "predicted") and ax.get_title() == "root mean square error 1.73"
        assert drawn(ax)["predicted = true"].tolist() == [[1, 6], [1, 6]]

    def test_residuals(self):
        ax = plot.residuals([1.0, 2.0, 3.0], [[1.0], [2.5], [4.0]], bins=4)
        assert [bar.get_height() for bar in ax.patches] == [1, 0, 1, 1]
        assert labels(ax) == ("predicted - true", "rows") and ax.get_title() == "mean 0.5, standard deviation 0.408"
        assert ax.lines[0].get_xdata() == [0, 0]

    def test_calibration(self):
        """One wrong of two at 55%, all right at 95%; in between nothing."""
        ax = plot.calibration([0, 1, 1], [[0.55, 0.45], [0.56, 0.44], [0.05, 0.95]])
        np.testing.assert_allclose(ax.collections[0].get_offsets(), [[0.555, 0.5], [0.95, 1.0]])
        small, large = sorted(ax.collections[0].get_sizes())
        assert small < large and labels(ax) == ("how sure it is", "share that is right")
        assert ax.get_title() == f"expected calibration error {(2 * 0.055 + 0.05) / 3:.1%}"
        assert drawn(ax)["as sure as right"].tolist() == [[0, 1], [0, 1]]
        with pytest.raises(ValueError, match="y_true must be labels from 0 to 1, got 2"):
            plot.calibration([0, 2], [0.1, 0.2])
        assert plot.calibration([1700], np.full((1, 2000), 1 / 2000))  # any number of classes

    def test_svg_is_small_text_and_the_same_each_time(self):
        def draw():
            with style.plain_text():
                return style.svg(plot.confusion_matrix([0, 1, 1], [0, 1, 0], labels=["$x$ <b>", "\ud800"],
                                                       ax=plot.figure()))

        made = draw()
        assert made == draw() and made.startswith("<svg ") and len(made) < 40_000
        assert "$x$ &lt;b&gt;</text>" in made and "<script" not in made and "<!--" not in made
        points = style.svg(plot.predictions(np.arange(4000.0), np.arange(4000.0), ax=plot.figure()))
        assert "<image" in points and len(points) < 100_000

    def test_embedding(self):
        ax = plot.embedding(X[:300], Y[:300])
        centred = X[:300].reshape(300, -1) - X[:300].reshape(300, -1).mean(axis=0)
        u, s, _ = np.linalg.svd(centred, full_matrices=False)
        at = np.concatenate([c.get_offsets() for c in ax.collections])
        order = np.concatenate([np.flatnonzero(Y[:300] == label) for label in range(10)])
        np.testing.assert_allclose(np.abs(at), np.abs((u * s)[order, :2]), atol=1e-8)
        share = s[:2] ** 2 / (s ** 2).sum()
        assert labels(ax) == (f"first component ({share[0]:.1%} of the variance)",
                              f"second component ({share[1]:.1%} of the variance)")
        assert [text.get_text() for text in ax.texts] == list("0123456789")


class TestSurfaces:
    @staticmethod
    def bowl(w):
        return float(w @ w), 2 * w

    def test_optimizer_paths(self):
        paths = {"SGD": fnn.descend(self.bowl, [1.0, 2.0], fnn.SGD(0.1), 10).points,
                 "none": np.array([[1.0, 2.0]])}
        ax = plot.optimizer_paths(self.bowl, paths, bounds=(-2, 2, -3, 3))
        np.testing.assert_array_equal(drawn(ax)["SGD"].T, paths["SGD"])
        assert drawn(ax)["start"].ravel().tolist() == [1, 2] and ax.get_xlim() == (-2, 2)
        for path in ax.collections[0].get_paths():  # lines of equal height are circles
            if len(path.vertices) and np.abs(path.vertices[:, 0]).max() < 1.9:
                far = np.linalg.norm(path.vertices, axis=1)
                np.testing.assert_allclose(far, far[0], rtol=0.01, atol=0.02)

    def test_descend_is_the_optimizer(self):
        way = fnn.descend(self.bowl, [1.0, -2.0, 3.0], fnn.Momentum(0.05), 30)
        w, v = np.array([1.0, -2.0, 3.0]), np.zeros(3)
        for point, value in zip(way.points, way.values, strict=True):
            np.testing.assert_allclose(point, w, rtol=1e-12)
            assert value == pytest.approx(w @ w, rel=1e-12)
            v = 0.9 * v - 0.05 * 2 * w
            w = w + v
        with pytest.raises(ValueError, match="start: expected finite numbers"):
            fnn.descend(self.bowl, [[1.0]])
        with pytest.raises(DivergenceError), np.errstate(over="ignore"):
            fnn.descend(self.bowl, [1.0], fnn.SGD(1e200), 10)

    def test_loss_surface(self):
        model = fnn.Sequential([fnn.Dense(4, "softmax")], input_shape=(6,), seed=0)
        model.compile(loss="cross_entropy")
        rows, y = np.eye(6), np.arange(6) % 4
        before = model.state_dict()
        ax = plot.loss_surface(model, rows, y, resolution=7, span=0.5)
        np.testing.assert_array_equal(model.state_dict()["dense.weight"], before["dense.weight"])
        assert labels(ax) == ("first direction (1: as long as the weights)", "second direction")
        assert ax.get_xlim() == (-0.5, 0.5) and ax.figure.axes[1].get_ylabel() == "loss"
        assert drawn(ax)["the model"].ravel().tolist() == [0, 0]

    def test_directions_are_as_long_as_the_weights(self):
        from fastnn.plot.surfaces import _direction
        w = np.random.default_rng(0).standard_normal((5, 3)) * [1, 10, 100]
        d = _direction(w, np.random.default_rng(1))
        np.testing.assert_allclose(np.linalg.norm(d, axis=0), np.linalg.norm(w, axis=0))
        assert not _direction(np.ones(3), np.random.default_rng(1)).any()


def test_network(trained):
    words = [text.get_text() for text in plot.network(trained).texts if text.get_text()]
    assert words == ["input", "(n, 8, 8)", "flatten: Flatten", "(n, 64)", "standardize: Standardize", "(n, 64)",
                     "dense: Dense, tanh", "780 parameters", "(n, 12)",
                     "dense_1: Dense, softmax", "130 parameters", "(n, 10)"]
    assert plot.network(trained).get_title() == "910 parameters, float32"
    frozen = trained.copy()
    frozen.layers[2].trainable = False
    assert "dense: Dense, tanh, frozen" in [text.get_text() for text in plot.network(frozen).texts]


def test_network_with_branches():
    """A layer stands below all that it takes; a shared one counts once and is drawn at each call."""
    one, other, tower = fnn.Input((8,), name="one"), fnn.Input((8,), name="other"), fnn.Dense(4, name="tower")
    both = fnn.Add()([tower(one), tower(other)])
    ax = plot.network(fnn.Model([one, other], [fnn.Dense(1, name="size")(both), fnn.Dense(2, name="kind")(both)]))
    at = {text.get_text(): text.get_position() for text in ax.texts if text.get_text() and "(" not in text.get_text()}
    rows = [["one", "other"], ["tower: Dense", "tower: Dense, shared"], ["add: Add"], ["kind: Dense", "size: Dense"]]
    assert {words: y for words, (_, y) in at.items()} == {words: y for y, row in enumerate(rows) for words in row}
    assert at["one"][0] < at["other"][0] and ax.get_title() == "51 parameters, float32"
    arrows = [text for text in ax.texts if not text.get_text()]
    assert len(arrows) == 2 + 2 + 2 + 2  # to the towers, to their sum, from it, and out
