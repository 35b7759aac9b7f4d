"""Every lesson runs, its claims hold, its program does the same; the command and the site."""
import functools
import re
from pathlib import Path

import numpy as np
import pytest

from pages import check_page

pytest.importorskip("matplotlib", reason="the extra [plot] is not installed")

from fastnn.cli import main  # noqa: E402
from fastnn.lessons import LESSONS, find  # noqa: E402
from fastnn.lessons.site import write_site  # noqa: E402

DOCS = Path(__file__).resolve().parents[1] / "docs"


@functools.cache
def program(name):
    """What the lesson's program defines: all but its last two lines, which run it with its full settings."""
    scope = {"__name__": "lesson"}
    source = LESSONS[name].program.rsplit("\n\n\n", 1)[0]
    exec(compile(source, f"{name}.py", "exec"), scope)
    return scope


@functools.cache
def done(name):
    """The lesson with its small settings, as its program does it."""
    return LESSONS[name].told(program(name)["experiment"](**LESSONS[name].small))


@pytest.mark.parametrize("name", LESSONS)
class TestEvery:
    def test_words_and_table(self, name):
        run = done(name)
        assert len({len(row) for row in run.table}) == 1 and len(run.table) > 2
        assert len(run.words.split()) > 90 and "nan" not in run.words and not re.search(r"[{}]", run.words)
        assert str(run).startswith(f"{run.lesson.number}. {run.lesson.title}\n")

    def test_picture_and_program(self, name, tmp_path):
        picture, program = done(name).save(tmp_path)
        assert picture.read_bytes()[:4] == b"\x89PNG" and picture.stat().st_size < 60_000
        text = program.read_text()
        assert text.startswith(f'"""{LESSONS[name].title}: ') and len(text.splitlines()) < 110
        assert text.endswith(f'found = experiment()\nplot.save(picture(found), "{name}.png")\n')
        assert "from ." not in text and "LESSON" not in text

    def test_program_is_the_lesson(self, name):
        """Its functions are the lesson's own, line by line, and draw by themselves."""
        lesson, scope = LESSONS[name], program(name)
        for function in (lesson.experiment, lesson.picture):
            assert scope[function.__name__].__code__.co_code == function.__code__.co_code
        assert np.ravel(scope["picture"](done(name).found))[0].figure.axes

    def test_ideas_are_headings(self, name):
        if not DOCS.is_dir():
            pytest.skip("the documentation is not here")
        headings = re.findall(r"^### (.+)$", (DOCS / "concepts.md").read_text(), re.MULTILINE)
        assert set(LESSONS[name].ideas) <= set(headings) and LESSONS[name].ideas


class TestClaims:
    def test_slowdown(self):
        """At the same bad start the cross-entropy neuron learns faster in the first 50 epochs."""
        found = done("slowdown").found
        learned = {cost: y[0] - y[50] for cost, y in found.items()}
        assert learned["cross_entropy"] > 0.8 > 0.05 > learned["quadratic"] > 0

    def test_softmax(self):
        figures, found = done("softmax").figures, done("softmax").found
        assert figures["error"] < 1e-14  # dC/dz is y - t
        assert abs(figures["quadratic"]) < 0.03 < abs(figures["easy"])
        accuracy = {label: run["val_accuracy"][0] for label, run in found["runs"].items()}
        for activation in ("softmax", "sigmoid"):
            assert accuracy[f"{activation}, cross_entropy"] > 0.1 + accuracy[f"{activation}, quadratic"]

    def test_divergence(self):
        found = done("divergence").found
        cross_entropy, divergence = found["course"].T
        np.testing.assert_allclose(cross_entropy - divergence, found["entropy"], rtol=1e-12)
        assert np.all(np.diff(divergence) < 0) and np.all(np.diff(cross_entropy) < 0)
        one, other = found["values"]["KL(p || q)"], found["values"]["KL(q || p)"]
        assert one["KL(p || q)"] < 0.2 * other["KL(p || q)"] and other["KL(q || p)"] < 0.5 * one["KL(q || p)"]
        assert done("divergence").figures["wide"] > 3 * done("divergence").figures["narrow"]

    def test_overfitting(self):
        found = done("overfitting").found
        plain = found["nothing"]["losses"]
        assert found["nothing"]["trained"] > 0.95 > 0.85 > found["nothing"]["test"]
        assert plain[-1] > 1.05 * min(plain)
        for cure in ("L2", "dropout", "early stopping"):
            assert found[cure]["test"] > found["nothing"]["test"] + 0.02, cure
        assert min(found["8 times the data"]["losses"]) < 0.8 * min(found[c]["losses"][-1] for c in found)

    def test_initial_weights(self):
        figures, found = done("initial-weights").figures, done("initial-weights").found
        assert figures["saturated"] > 0.5 > 0.1 > figures["unsaturated"]
        assert figures["xavier"] > figures["normal"] + 0.2
        assert figures["relu_xavier"] < 0.5 * figures["he"] < 0.01 * figures["growth"]
        assert "step" in found["relu, normal(0, 1)"]  # its training diverges

    def test_vanishing(self):
        """The first hidden layer's gradient is ten times smaller than the last's, and more with depth."""
        figures = done("vanishing").figures
        assert figures["four"] > 100 > figures["three"] > 10 > figures["two"] > 3
        assert 1 / 3 < figures["relu"] < 3 and 1 / 3 < figures["norm"] < 3
        assert figures["tanh"] < 10 and figures["large"] > 100

    def test_recurrent(self):
        """Through time the gradient goes by the spectral radius; clipped descent does not jump off the cliff."""
        figures = done("recurrent").figures
        for radius, factor in figures["factors"].items():
            assert factor == pytest.approx(radius, rel=0.02)
        assert figures["small"] < 1e-12 and 0.1 < figures["one"] < 10 and figures["large"] > 1e6
        assert figures["times"] > 100 and figures["longest"] > 5 * figures["clipped"]
        assert figures["clipped_cost"] < 0.01 < figures["cost"]

    def test_gradcheck(self):
        checks, curves = done("gradcheck").found["checks"], done("gradcheck").found["curves"]
        assert checks["right"].passed and not checks["wrong"].passed
        failed = {t.name for t in checks["wrong"].tensors if not t.passed}
        assert failed == {"dense.weight", "dense.bias", "X"}  # not those of the layer above
        central, forward = curves["float64"].central, curves["float64"].forward
        best = central.argmin()
        assert 0 < best < len(central) - 1 and central[best] < 1e-3 * min(central[0], central[-1])  # a V
        assert central.min() < 0.1 * forward.min() < 0.1 * curves["float32"].central.min()
        assert done("gradcheck").figures["learned_wrong"] > 0.6  # and nothing else tells

    def test_inputs(self):
        figures = done("inputs").figures
        assert figures["valley"] > 30 > 1.5 > figures["bowl"]
        assert figures["raw_steps"] > 4 * figures["normal_steps"]

    def test_batches(self):
        found = done("batches").found
        for small, large in ((8, 32), (32, 128)):
            assert found[small]["noise"] / found[large]["noise"] == pytest.approx(2.0, rel=0.25)
        assert found[1438]["noise"] < 1e-4
        assert found[8]["epochs"] < found[32]["epochs"] < found[128]["epochs"]  # at one and the same rate
        assert found[1438]["steps"] == found[1438]["epochs"]  # a step an epoch

    def test_optimizers(self):
        figures = done("optimizers").figures
        assert figures["ravine_SGD"] > figures["ravine_Momentum"] > figures["ravine_Nesterov"]
        assert figures["saddle_SGD"] > 5 * max(figures["saddle_RMSprop"], figures["saddle_Adam"])
        assert figures["plateau_SGD"] > 1.5 * figures["plateau_Momentum"]
        assert figures["with"] == pytest.approx(0.1, rel=1e-3) and figures["without"] > 0.3

    def test_schedules(self):
        loss = {name: run["loss"][-1] for name, run in done("schedules").found["runs"].items()}
        falling = [loss[name] for name in ("halved four times", "cosine", "one cycle", "warm up, cosine")]
        assert max(falling) < loss["constant, high"]
        test = done("schedules").found["test"]
        assert test.losses[-1] > 2 * test.smoothed.min() and 0 < test.smoothed.argmin() < len(test.rates) - 1

    def test_universality(self):
        built, learned, towers = done("universality").found["errors"].values()
        for errors in (built, towers):
            values = list(errors.values())
            assert all(b < 0.75 * a for a, b in zip(values, values[1:], strict=False))
        assert learned[40] < 0.6 * built[40]

    def test_activations(self):
        found = done("activations").found
        accuracy = {name: each["run"]["val_accuracy"] for name, each in found.items()}
        assert all(accuracy[name][0] > accuracy["sigmoid"][0] + 0.4 for name in accuracy if name != "sigmoid")
        assert found["sigmoid"]["gradient"] < 0.1 < min(found["tanh"]["gradient"], found["relu"]["gradient"])
        assert 0.3 < found["relu"]["saturated"] < 0.7 and found["softsign"]["saturated"] < 0.1

    def test_search(self):
        found, figures = done("search").found, done("search").figures
        spent = {name: {sum(trial[2] for trial in made) for made in runs} for name, runs in found.items()}
        assert spent["grid"] == spent["random"] == {81} and max(spent["halving"]) <= 81
        assert (figures["grid_rates"], figures["random_rates"], figures["halving_rates"]) == (3, 9, 27)
        assert figures["halving"] > 0.9

    def test_saddle(self):
        figures = done("saddle").figures
        assert figures["gradient"] < 0.01 and figures["value"] == pytest.approx(0.5, abs=1e-3)
        assert figures["low"] == pytest.approx(-1, abs=0.01) and figures["high"] == pytest.approx(1, abs=0.01)
        assert figures["minimum"] == pytest.approx(0, abs=1e-3)  # along a b = 1 nothing changes
        assert int(figures["momentum"]) < int(figures["noise"]) < int(figures["sgd"])


    def test_adversaries(self):
        """Beside a discriminator that is sure, -log D has the gradient, log(1 - D) hardly any."""
        figures = done("adversaries").figures
        assert figures["times"] > 5 and figures["strong"] > 1 and figures["real_hills"] == 8

    @pytest.mark.slow
    def test_adversaries_in_full(self):
        figures = LESSONS["adversaries"].run().figures
        assert figures["good_on"] > 0.7 > 0.5 > figures["saturating_on"] and figures["times"] > 1000
        assert figures["collapsed_hills"] < figures["good_hills"] and figures["collapsed_fullest"] > 0.3

    def test_transfer(self):
        figures = done("transfer").figures
        assert figures["before"] > 0.9
        assert figures["frozen_few"] > figures["scratch_few"] + 0.05  # few labels: frozen features
        assert figures["tuned_many"] > max(figures["scratch_many"], figures["frozen_many"])  # more: trained on


def test_site(tmp_path):
    names = ["slowdown", "vanishing", "saddle"]
    index = write_site([done(name) for name in names], tmp_path / "site")
    assert sorted(path.name for path in index.parent.iterdir()) == sorted(
        ["index.html", *(f"{name}.{ending}" for name in names for ending in ("html", "png", "py"))])
    for path in index.parent.glob("*.html"):
        text = path.read_text(encoding="utf-8")
        page = check_page(text)
        links = [a.attributes["href"] for a in page.all("a")] + [a.attributes["src"] for a in page.all("img")]
        assert links and all((index.parent / link).is_file() for link in links)  # nothing from elsewhere
        assert "http" not in text and "url(" not in text
        assert "prefers-color-scheme: dark" in text
        assert any(meta.attributes.get("name") == "viewport" for meta in page.all("meta"))
    lesson = (index.parent / "vanishing.html").read_text(encoding="utf-8")
    assert "Before: Learning slowdown" in lesson and "Next: Saddle points, and what escapes them" in lesson
    assert "&lt;" not in done("saddle").words and "def experiment(" in lesson


class TestCommand:
    def test_list(self, capsys):
        assert main(["lesson", "--list"]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert [line.split()[:2] for line in lines] == [[str(a.number), a.name] for a in LESSONS.values()]

    def test_one(self, capsys, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        assert main(["lesson", "1"]) == 0
        out = capsys.readouterr().out
        assert out.startswith("1. Learning slowdown\n") and "written: slowdown.png, slowdown.py" in out
        assert {path.name for path in tmp_path.iterdir()} == {"slowdown.png", "slowdown.py"}

    def test_html(self, capsys, tmp_path):
        assert main(["lesson", "slowdown", "--html", str(tmp_path / "a")]) == 0
        assert capsys.readouterr().out.endswith(f"written: {tmp_path / 'a' / 'index.html'}\n")

    @pytest.mark.parametrize("arguments, message", [
        ([], "argument NAME: expected names of lessons, or --all"),
        (["slowdown", "--all"], "argument NAME: expected names of lessons, or --all"),
        (["slow"], "unknown lesson 'slow'"), (["99"], "unknown lesson '99'"),
        (["1", "--output", "nowhere"], "argument --output: expected a folder that is there, got 'nowhere'")])
    def test_errors(self, capsys, arguments, message, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        assert main(["lesson", *arguments]) == 2
        out, err = capsys.readouterr()
        assert not out and err.count("\n") == 1
        assert err.startswith("fastnn lesson: error: ") and message in err

    def test_numbers_are_the_issue_s(self):
        assert [lesson.number for lesson in LESSONS.values()] == sorted({a.number for a in LESSONS.values()})
        assert find("vanishing", LESSONS).number == 6
