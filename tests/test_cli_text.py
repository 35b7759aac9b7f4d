"""``fastnn train --data text``: the character model, what it prints and what it refuses."""
import re

import numpy as np
import pytest

import fastnn as fnn
from fastnn.cli import main
from fastnn.commands.text import write
from fastnn.data.text import Vocabulary, read_text, windows

RHYME = "the cat sat on the mat and the rat sat on the cat; " * 40


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "rhyme.txt"
    file.write_text(RHYME, encoding="utf-8")
    return str(file)


@pytest.mark.parametrize("kind", ["rnn", "gru", "lstm"])
def test_job(path, tmp_path, capsys, kind):
    """A text that repeats itself is learnt by heart; the sample is made of its words, the file predicts alike."""
    output = tmp_path / "text.safetensors"
    assert main(["train", "--data", "text", "--path", path, "--model", kind, "--hidden", "48", "--epochs", "15",
                 "--steps", "20", "--batch-size", "8", "--lr", "0.01", "--sample", "60", "--temperature", "0.3",
                 "--output", str(output)]) == 0
    text = capsys.readouterr().out
    found = re.search(r"held-out loss ([\d.]+) nats a character, perplexity ([\d.]+)", text)
    loss, perplexity = map(float, found.groups())
    assert loss < 0.35 and abs(np.exp(loss) - perplexity) < 2e-3
    sample = text.partition("sample:\n")[2].partition("\nheld-out")[0]
    words = sample.split()[1:-1]
    assert len(sample) == 60 and len(words) > 8
    assert sum(word in RHYME.split() for word in words) > 0.8 * len(words)
    model = fnn.load(output)
    held_out = windows(Vocabulary(RHYME).encode(RHYME[-204:]), 200)
    model.compile(loss="cross_entropy")
    assert model.evaluate(*held_out)["loss"] < 0.35


def test_the_reader_that_writes_sees_what_the_model_sees():
    """Character by character with the state carried, the shares are those of the whole sequence at once."""
    vocabulary = Vocabulary(RHYME)
    model = fnn.Sequential([fnn.Embedding(len(vocabulary), 8), fnn.LSTM(12, return_sequences=True),
                            fnn.Dense(len(vocabulary), "softmax")], (None,), seed=3)
    text = write(model, vocabulary, 30, seed=1, start="t")
    shares = model.predict(vocabulary.encode("t" + text)[None, :-1])[0].astype(np.float64)
    rng = np.random.default_rng(1)
    again = [rng.choice(len(vocabulary), p=share / share.sum()) for share in shares]
    assert vocabulary.decode(again) == text


@pytest.mark.parametrize("arguments, words", [
    (["--data", "text"], "--model"), (["--data", "text", "--model", "lstm"], "--path"),
    (["--data", "text", "--model", "lenet"], "--model"), (["--model", "gru"], "--model"),
    (["--steps", "8"], "--steps"), (["--sample", "8"], "--sample"),
    (["--data", "text", "--model", "gru", "--path", "PATH", "--patience", "3"], "--patience"),
    (["--data", "text", "--model", "gru", "--path", "PATH", "--activation", "tanh"], "--activation"),
    (["--data", "text", "--model", "gru", "--path", "PATH", "--steps", "100000"], "--steps")])
def test_flags_that_do_not_go_together(path, capsys, arguments, words):
    assert main(["train", *(path if a == "PATH" else a for a in arguments)]) == 2
    assert f"argument {words}: expected" in capsys.readouterr().err


def test_files_that_are_no_text(tmp_path):
    for content, words in ((b"", "empty"), (b"ab\xff", "0xff at place 2")):
        (tmp_path / "file").write_bytes(content)
        with pytest.raises(ValueError, match=words):
            read_text(tmp_path / "file")
    with pytest.raises(ValueError, match="'z' at place 1"):
        Vocabulary("abc").encode("az")
    with pytest.raises(ValueError, match="steps=4"):
        windows(np.arange(4), 4)
