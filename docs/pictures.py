"""The pictures in docs/images and their page, made anew: ``python docs/pictures.py``, or with names for some.

One for each function of `fastnn.plot`, ``lesson-NAME.png`` for each lesson, and ``report.png``, a report as Chromium
shows it, where there is one. It takes about a minute.
"""
import inspect
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from matplotlib import pyplot
from PIL import Image

import fastnn as fnn
from fastnn import plot
from fastnn.data import load_digits, train_test_split
from fastnn.lessons import LESSONS

FOLDER = Path(__file__).with_name("images")


def digits():
    return train_test_split(*load_digits())


def network(*layers, optimizer="adam", shape=(8, 8), loss="cross_entropy"):
    layers = [fnn.Flatten(), fnn.Standardize(), *layers] if len(shape) > 1 else list(layers)
    model = fnn.Sequential(layers, input_shape=shape, seed=0)
    model.compile(optimizer, loss, metrics=["accuracy"])
    return model


def trained():
    X, _, y, _ = digits()
    model = network(fnn.Dense(32, "relu"), fnn.Dense(10, "softmax"))
    model.fit(X, y, epochs=15, verbose=0)
    return model


def watched(activation="tanh", **settings):
    X, _, y, _ = digits()
    layers = [fnn.Dense(30, activation, name=name, **settings) for name in ("first", "second", "third")]
    model = network(*layers, fnn.Dense(10, "softmax", name="last"), optimizer=fnn.SGD(0.1))
    monitor = fnn.Monitor()
    model.fit(X, y, epochs=15, callbacks=monitor, verbose=0)
    return monitor


def moons(n=300):
    rng = np.random.default_rng(0)
    angle, label = np.pi * rng.random(n), np.arange(n) % 3
    turn = 2 * np.pi * label / 3 + angle
    X = np.stack([np.cos(turn), np.sin(turn)], 1) * (0.4 + 0.6 * angle / np.pi)[:, None]
    return X + 0.05 * rng.standard_normal((n, 2)), label


def history():
    X, _, y, _ = digits()
    rate = fnn.CosineDecay(3e-3, total=720)
    model = network(fnn.Dense(64, "relu"), fnn.Dense(10, "softmax"), optimizer=fnn.Adam(rate))
    run = model.fit(X, y, epochs=20, validation_split=0.2, verbose=0)
    return plot.history(run, learning_rate=rate, steps_per_epoch=36)


def learning_rate_search():
    X, _, y, _ = digits()
    model = network(fnn.Dense(32, "relu"), fnn.Dense(10, "softmax"))
    return plot.learning_rate_search(fnn.find_learning_rate(model, X, y))


def checked(function):
    X, _, y, _ = digits()
    model = network(fnn.Dense(16, "tanh", kernel_regularizer="l2"), fnn.Dense(10, "softmax"))
    return function(model, X[:8], y[:8])


def decision_boundary():
    X, y = moons()
    model = network(fnn.Dense(32, "tanh"), fnn.Dense(3, "softmax"), shape=(2,), optimizer=fnn.Adam(0.01))
    model.fit(X, y, epochs=150, verbose=0)
    return plot.decision_boundary(model, X, y)


def templates():
    X, _, y, _ = digits()
    model = network(fnn.Dense(10, "softmax", kernel_initializer="zeros", kernel_regularizer=fnn.L2(0.01)))
    model.fit(X, y, epochs=20, verbose=0)
    return plot.weights(model)


def confusion_matrix():
    _, X_test, _, y_test = digits()
    return plot.confusion_matrix(y_test, trained().predict(X_test))


def worst_errors():
    _, X_test, _, y_test = digits()
    return plot.worst_errors(trained(), X_test, y_test)


def regression(draw):
    rng = np.random.default_rng(0)
    X = rng.uniform(-2, 2, (400, 2))
    y = np.sin(2 * X[:, 0]) * X[:, 1] + 0.1 * rng.standard_normal(400)
    model = fnn.Sequential([fnn.Dense(32, "tanh"), fnn.Dense(1)], input_shape=(2,), seed=0)
    model.compile(fnn.Adam(0.01), "squared_error")
    model.fit(X, y, epochs=80, verbose=0)
    return draw(y, model.predict(X))


def calibration():
    _, X_test, _, y_test = digits()
    return plot.calibration(y_test, trained().predict(X_test))


def optimizer_paths():
    def ravine(w):
        return w[0] ** 2 / 20 + w[1] ** 2, np.array([w[0] / 10, 2 * w[1]])

    chosen = {"SGD": fnn.SGD(0.9), "Momentum": fnn.Momentum(0.1), "RMSprop": fnn.RMSprop(0.2),
              "Adam": fnn.Adam(0.4)}
    return plot.optimizer_paths(ravine, {label: fnn.descend(ravine, [-7.0, 2.0], optimizer, 40).points
                                         for label, optimizer in chosen.items()})


def loss_surface():
    X, _, y, _ = digits()
    return plot.loss_surface(trained(), X, y, span=1.0, resolution=31)


def profile():
    X, _, y, _ = digits()
    model = network(fnn.Dense(256, "relu"), fnn.Dense(128, "relu"), fnn.Dense(10, "softmax"))
    return plot.profile(model.profile(X, y, 128))


def schedule():
    total = 500
    return plot.schedule({
        "step": fnn.StepDecay(0.1, factor=0.5, every=100), "cosine": fnn.CosineDecay(0.1, total=total),
        "one cycle": fnn.OneCycle(0.1, total=total), "inverse time": fnn.InverseTimeDecay(0.1, decay=0.01),
        "warm up, then root": fnn.WarmUp(fnn.InverseSquareRootDecay(0.1), updates=50)}, total)


def compare():
    X, _, y, _ = digits()
    return plot.compare({name: network(fnn.Dense(32, "relu"), fnn.Dense(10, "softmax"), optimizer=name).fit(
        X, y, epochs=15, validation_split=0.2, verbose=0) for name in ("sgd", "momentum", "rmsprop", "adam")})


PICTURES = {
    "history": history, "compare": compare, "schedule": schedule,
    "learning_rate_search": learning_rate_search,
    "activation": lambda: plot.activation("tanh"),
    "histograms": lambda: plot.histograms(watched(kernel_initializer="standard_normal")),
    "gradient_norms": lambda: plot.gradient_norms(watched("sigmoid")),
    "saturation": lambda: plot.saturation(watched(kernel_initializer="standard_normal")),
    "update_ratios": lambda: plot.update_ratios(watched()),
    "gradient_check": lambda: plot.gradient_check(checked(fnn.check_gradients)),
    "gradient_error": lambda: plot.gradient_error(checked(fnn.gradient_error_curve)),
    "weights": templates,
    "decision_boundary": decision_boundary, "confusion_matrix": confusion_matrix,
    "calibration": calibration, "worst_errors": worst_errors, "predictions": lambda: regression(plot.predictions),
    "residuals": lambda: regression(plot.residuals), "optimizer_paths": optimizer_paths,
    "loss_surface": loss_surface,
    "network": lambda: plot.network(trained()), "profile": profile,
    "embedding": lambda: plot.embedding(*load_digits()),
}


def report(path):
    """The top of a report at a desk's width, light, and its classes at a phone's, dark, beside each other."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        print("report: left as it is, because there is no Chromium")
        return
    X, X_test, y, y_test = digits()
    model = network(fnn.Dense(64, "relu"), fnn.Dense(10, "softmax"), optimizer=fnn.Adam(1e-3))
    history = model.fit(X, y, epochs=20, validation_split=0.1, verbose=0)
    with tempfile.TemporaryDirectory() as folder:
        made, shots = Path(folder, "report.html"), []
        history.report(made, X_test, y_test, title="Digits", data_name="test images")
        classes = Path(folder, "classes.html")
        classes.write_text(re.sub(r"<nav.*?(?=<section aria-labelledby=.classes)", "<main>", made.read_text(),
                                  flags=re.DOTALL))
        for name, width, scheme, shown in (("desk", 1040, 1, made), ("phone", 390, 0, classes)):
            shots.append(Path(folder, f"{name}.png"))
            subprocess.run([chromium, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
                            f"--user-data-dir={folder}/profile", f"--blink-settings=preferredColorScheme={scheme}",
                            f"--window-size={width},960", f"--screenshot={shots[-1]}", shown.as_uri()],
                           check=True, capture_output=True)
        desk, phone = map(Image.open, shots)
        whole = Image.new("RGB", (desk.width + 20 + phone.width, desk.height), "white")
        whole.paste(desk, (0, 0))
        whole.paste(phone, (desk.width + 20, 0))
        small = whole.resize((900, round(900 * whole.height / whole.width)), Image.Resampling.LANCZOS)
        small.quantize(64, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE).save(path, optimize=True)


def page():
    """docs/pictures.md: every function, its summary and its picture."""
    parts = ["# Pictures\n", "What `fastnn.plot` draws: one call a picture, `ax=` for Axes of your own; they are "
             "returned, and nothing is shown.\n`plot.save(ax, path)` writes a small PNG. Made by `python "
             "docs/pictures.py`, where the calls are.\n"]
    for name in PICTURES:
        summary = inspect.getdoc(getattr(plot, name)).split("\n\n")[0].replace("\n", " ")
        parts.append(f"## plot.{name}\n\n{summary}\n\n![{summary}](images/{name}.png)\n")
    parts.append("## Reports\n\nWhat `history.report(path)`, `fastnn train --report FILE` and `fastnn report MODEL "
                 "--data DATA` put on one page:\n`fastnn.report.write_report` has the settings.\n\n![The top of a "
                 "report, and the classes of one on a phone, dark](images/report.png)\n")
    return "\n".join(parts)


def draw(name, make):
    ax = make()
    path = FOLDER / f"{name}.png"
    plot.save(ax, path, colours=32 if name == "embedding" else 64)
    pyplot.close("all")
    print(f"{path}: {path.stat().st_size / 1000:.0f} kB")


def main(names):
    FOLDER.mkdir(exist_ok=True)
    FOLDER.with_name("pictures.md").write_text(page())
    for name, make in PICTURES.items():
        if not names or name in names:
            draw(name, make)
    for name, lesson in LESSONS.items():
        if not names or f"lesson-{name}" in names:
            draw(f"lesson-{name}", lambda lesson=lesson: lesson.picture(lesson.experiment()))
    if not names or "report" in names:
        report(FOLDER / "report.png")


if __name__ == "__main__":
    main(sys.argv[1:])
