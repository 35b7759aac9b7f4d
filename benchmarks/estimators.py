"""fastnn's estimators beside scikit-learn's MLPs: the same fits, their scores over seeds, and their times.

    python -m benchmarks.estimators --quick
    FASTNN_MNIST=FOLDER python -m benchmarks.estimators --json run.json

Every fit is checked before it is timed: for one random_state the loss curves must agree. (That was fastnn's first fit
of this network in the process; it makes the Program, a millisecond, which later ones of the same layers share.)
On one thread fits are timed by the processor's clock, which other programs on the machine do not count in; on several
by the wall's.
"""

from __future__ import annotations

import argparse
import json
import os
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from statistics import mean, median, stdev
from typing import Any

import numpy as np
from sklearn import neural_network
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_iris, make_regression
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from fastnn import estimators
from fastnn.data import load_mnist

SEEDS = range(5)
CURVES_AGREE = {"float64": 1e-6, "float32": 2e-2}  # relative; float32's rounding grows over the epochs
TEST_SHARE, MNIST_ROWS, MNIST_TEST = 0.25, 8000, 2000


@dataclass(frozen=True)
class Task:
    """Rows, the estimator's name, and the settings that both libraries get."""

    name: str
    estimator: str
    X: np.ndarray
    y: np.ndarray
    settings: dict[str, Any]
    test: float | int = TEST_SHARE

    def split(self, dtype: str, seed: int = 0) -> list[np.ndarray]:
        """X, X_test, y, y_test; standardized, of one dtype."""
        X, X_test, y, y_test = train_test_split(self.X, self.y, random_state=seed, test_size=self.test)
        scaler = StandardScaler().fit(X)
        X, X_test = (scaler.transform(part).astype(dtype) for part in (X, X_test))
        if self.estimator == "MLPRegressor":
            y, y_test = ((part - self.y.mean()) / self.y.std() for part in (y, y_test))
        return [X, X_test, y, y_test]

    def make(self, library: Any, seed: int) -> Any:
        return getattr(library, self.estimator)(random_state=seed, **self.settings)


def tasks(mnist: str | None) -> Iterator[Task]:
    """What is fitted: scikit-learn's defaults, but for the number of epochs."""
    yield Task("iris", "MLPClassifier", *load_iris(return_X_y=True), {"max_iter": 200})
    yield Task("breast cancer", "MLPClassifier", *load_breast_cancer(return_X_y=True), {"max_iter": 100})
    yield Task("digits", "MLPClassifier", *load_digits(return_X_y=True), {"max_iter": 50})
    yield Task("diabetes", "MLPRegressor", *load_diabetes(return_X_y=True), {"max_iter": 100})
    X, y = make_regression(20_000, 8, noise=20.0, random_state=0)
    y += 0.3 * y.std() * np.sin(3 * X[:, 0])
    yield Task("table of 20,000 x 8", "MLPRegressor", X, y, {"max_iter": 10})
    if mnist:
        parts = load_mnist(mnist)
        images, labels = parts.get("train") or parts["test"]
        rows = slice(0, MNIST_ROWS + MNIST_TEST)
        X = images[rows].reshape(-1, 784) / 255
        yield Task(f"MNIST, {MNIST_ROWS:,} rows", "MLPClassifier", X, labels[rows], {"max_iter": 10},
                   MNIST_TEST)


def seconds(function: Any, clock: Callable[[], float] = time.perf_counter) -> float:
    start = clock()
    function()
    return clock() - start


def check(task: Task, dtype: str) -> float:
    """The largest relative difference of the two loss curves."""
    X, _, y, _ = task.split(dtype)
    theirs, mine = (np.array(task.make(library, 0).fit(X, y).loss_curve_)
                    for library in (neural_network, estimators))
    n = min(len(theirs), len(mine))
    difference = float(np.abs(mine[:n] / theirs[:n] - 1).max())
    if difference > CURVES_AGREE[dtype]:
        raise SystemExit(f"{task.name}, {dtype}: the loss curves differ by {difference:.2g}, allowed "
                         f"{CURVES_AGREE[dtype]:.2g}")
    return difference


def scores(task: Task, dtype: str) -> dict[str, list[float]]:
    """Of both libraries on rows they have not seen, for each seed."""
    found: dict[str, list[float]] = {"scikit-learn": [], "fastnn": []}
    for seed in SEEDS:
        X, X_test, y, y_test = task.split(dtype, seed)
        for name, library in (("scikit-learn", neural_network), ("fastnn", estimators)):
            found[name].append(float(task.make(library, seed).fit(X, y).score(X_test, y_test)))
    return found


def time_fits(task: Task, dtype: str, threads: int, rounds: int) -> dict[str, Any]:
    """Seconds of a fit in turns, and microseconds of a prediction of one row."""
    X, _, y, _ = task.split(dtype)
    fits: dict[str, list[float]] = {"scikit-learn": [], "fastnn": []}
    rows: dict[str, list[float]] = {"scikit-learn": [], "fastnn": []}
    predict = "predict_proba" if task.estimator == "MLPClassifier" else "predict"
    clock = time.process_time if threads == 1 else time.perf_counter
    with threadpool_limits(threads):
        for i in range(rounds):
            both = [("scikit-learn", neural_network), ("fastnn", estimators)]
            for name, library in both[::-1] if i % 2 else both:
                mlp = task.make(library, 0)
                fits[name].append(seconds(partial(mlp.fit, X, y), clock))
                one = partial(getattr(mlp, predict), X[:1])
                rows[name].append(1e6 * min(seconds(one) for _ in range(200)))
    return {"fit_seconds": fits, "row_us": rows}


def spread(values: list[float]) -> str:
    return f"{mean(values):.4f} ± {standard_error(values):.4f}"


def standard_error(values: list[float]) -> float:
    return stdev(values) / len(values) ** 0.5


def agree(found: dict[str, list[float]]) -> str:
    """Whether the mean scores are within one standard error of each other."""
    theirs, mine = found["scikit-learn"], found["fastnn"]
    return "within one" if abs(mean(mine) - mean(theirs)) <= standard_error(theirs) else "NOT within one"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="three rounds, no scores over seeds")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--dtypes", default="float64,float32")
    parser.add_argument("--tasks", default="", help="names, separated by commas; all by default")
    parser.add_argument("--mnist", default=os.environ.get("FASTNN_MNIST"))
    parser.add_argument("--json", help="all that was measured")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    rounds, results = 3 if args.quick else args.rounds, []
    print(f"{'fit':<22}{'dtype':<9}{'threads':>7}{'scikit-learn s':>15}{'fastnn s':>10}{'ratio':>7}"
          f"{'one row us':>16}{'ratio':>7}  score of scikit-learn, fastnn")
    for task in tasks(args.mnist):
        if args.tasks and task.name.split(",")[0] not in args.tasks.split(","):
            continue
        for dtype in args.dtypes.split(","):
            difference = check(task, dtype)
            found = {} if args.quick else scores(task, dtype)
            for threads in map(int, args.threads.split(",")):
                measured = time_fits(task, dtype, threads, rounds)
                fit = {name: median(values) for name, values in measured["fit_seconds"].items()}
                row = {name: min(values) for name, values in measured["row_us"].items()}
                said = f"{', '.join(map(spread, found.values()))} {agree(found)}" if found else ""
                print(f"{task.name:<22}{dtype:<9}{threads:>7}{fit['scikit-learn']:>15.3f}{fit['fastnn']:>10.4f}"
                      f"{fit['scikit-learn'] / fit['fastnn']:>7.1f}"
                      f"{row['scikit-learn']:>9.0f}{row['fastnn']:>7.1f}"
                      f"{row['scikit-learn'] / row['fastnn']:>7.1f}  {said}", flush=True)
                results.append({"task": task.name, "dtype": dtype, "threads": threads, **measured,
                                "scores": found, "curves_differ": difference})
    if args.json:
        with open(args.json, "w") as file:
            json.dump(results, file, indent=1)


if __name__ == "__main__":
    main()
