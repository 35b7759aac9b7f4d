"""Every setting of every public thing, given what is no setting."""
import numpy as np
import pytest

import fastnn as fnn
from hostile import NUMBERS, outcome, refused
from hostile_rows import ELSEWHERE, ROWS, THINGS

KEPT = {"True": bool, "np.True_": bool, "'8'": str}  # what is taken says what it said


def test_every_public_name_has_a_row():
    """A new public name is tested, or said to be tested elsewhere."""
    elsewhere = " ".join(ELSEWHERE.values()).split()
    known = [name for name in ROWS if not name.startswith("initializers.")]
    assert sorted([*known, *elsewhere]) == sorted(fnn.__all__)


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """Files go where they are thrown away; threads and backend are put back."""
    monkeypatch.chdir(tmp_path)
    threads = fnn.get_num_threads()
    fnn.set_num_threads(1)
    with fnn.use_backend(fnn.backend()):
        yield
    fnn.set_num_threads(threads)


def plain(value):
    """Whether a setting is what a file can hold, and no array or number of NumPy's."""
    if isinstance(value, dict):
        return all(map(plain, value.values()))
    if isinstance(value, (list, tuple)):
        return all(map(plain, value))
    return value is None or type(value) in (bool, int, float, str) or callable(value)


def taken(name):
    """Things made with each hostile value of each argument that takes it; the errors of the others are judged."""
    row, thing = ROWS[name], THINGS[name]
    for argument in row.parameters(thing):
        for what, value in NUMBERS.items():
            words = argument, argument.rstrip("s"), *row.names.get(argument, ())
            made = outcome(lambda: (row.call or thing)(**row.arguments(**{argument: value})), *words)  # noqa: B023
            if not refused(made):
                yield argument, what, made


@pytest.mark.parametrize("name", ROWS)
def test_settings(name):
    """Each value is taken as what it says, as a plain number, or refused by the argument's name."""
    for argument, what, made in taken(name):
        assert what not in ("nan", "1j", "float64 nan", "array of nan", "object", "date", "datetime64", "Decimal") or \
            argument in ("function", "layers"), f"{argument}={what} is taken"
        if hasattr(made, "get_config") and name not in ("Regularizer", "Loss", "Optimizer"):
            config = made.get_config()
            assert plain(config), f"{argument}={what} is kept as {config}"
            if what in KEPT and argument in config:
                assert type(config[argument]) is KEPT[what], f"{argument}={what} is kept as {config[argument]!r}"


def uses(names):
    """The settings that were taken, at work: an answer, a refusal, or the training that diverges, by name."""
    for name in names:
        seen = set()
        for argument, what, made in taken(name):
            same = argument, repr(getattr(made, "__dict__", made))
            if same in seen:
                continue
            seen.add(same)
            try:
                outcome(lambda: ROWS[name].use(made), diverges=True)  # noqa: B023
            except Exception as error:
                raise AssertionError(f"{name}({argument}={what}): {type(error).__name__}: {error}") from error


USED = [name for name in ROWS if ROWS[name].use]


@pytest.mark.parametrize("name", ["Dense", "MinMax", "RandomShift", "ConvTranspose2D", "LSTM", "LayerNorm", "Adam",
                                  "SmoothL1", "CosineRestarts", "EarlyStopping", "CSVLogger", "initializers.Constant"])
def test_settings_at_work(name):
    uses([name])


@pytest.mark.slow
@pytest.mark.parametrize("name", USED)
def test_all_settings_at_work(name):
    uses([name])


@pytest.mark.parametrize("bad", ["abc", 3, np.zeros(3), [1], None])
def test_no_layers(bad):
    assert refused(outcome(lambda: fnn.Sequential(bad, (3,)), "layers"))
