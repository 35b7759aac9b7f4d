"""The lessons as a small static site: a page each and an index; nothing is fetched from elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from string import Template

from ..page import escape, page, table
from .base import Done

LESSON = Template("""\
<p>$words</p>
<p><img src="$name.png" alt="$alt"></p>
<h2>What was found</h2>
$table
<h2>The program</h2>
<p><code>fastnn lesson $name</code> runs it; it is in <a href="$name.py">$name.py</a>.</p>
<pre tabindex="0"><code>$program</code></pre>
""")


def write_site(done: Sequence[Done], folder: Path) -> Path:
    """Write the site into a folder.

    Parameters
    ----------
    done : sequence of Done
        Lessons that were run, in their order.
    folder : Path
        Made if it is not there.

    Returns
    -------
    Path
        The index.

    Examples
    --------
    >>> from fastnn.lessons import LESSONS
    >>> write_site([LESSONS["slowdown"].run(epochs=60)], Path("site")).name
    'index.html'
    """
    folder.mkdir(parents=True, exist_ok=True)
    for i, each in enumerate(done):
        each.save(folder)
        near = [("Before", done[i - 1])] if i else []
        near += [("Next", done[i + 1])] if i + 1 < len(done) else []
        links = ['<a href="index.html">All lessons</a>']
        links += [f'<a href="{other.lesson.name}.html">{word}: {escape(other.lesson.title)}</a>'
                  for word, other in near]
        title = f"{each.lesson.number}. {each.lesson.title}"
        _write(folder / f"{each.lesson.name}.html", title, "\n".join(links), page_body(each))
    items = "\n".join(f'<li value="{each.lesson.number}"><a href="{each.lesson.name}.html">'
                      f'{escape(each.lesson.title)}</a></li>' for each in done)
    words = ("Experiments of the classic course notes, run on this machine: what was measured, a picture, "
             "and the few lines of Python that did it.")
    index = folder / "index.html"
    _write(index, "Lessons in neural networks", "", f"<p>{words}</p>\n<ol>\n{items}\n</ol>")
    return index


def page_body(done: Done) -> str:
    """The inside of a lesson's page."""
    header, *rows = done.table
    title = done.lesson.title
    return LESSON.substitute(
        name=done.lesson.name, words=escape(done.words), program=escape(done.lesson.program),
        table=table(f"Measured in the lesson: {title}", header, rows, name="found"),
        alt=escape(f"The picture of the lesson: {title}. The paragraph above and the table below say what it shows."))


def _write(path: Path, title: str, nav: str, body: str) -> None:
    made = "Made by <code>fastnn lesson --all --html FOLDER</code>, on this machine,"
    path.write_text(page(title, body, nav=nav, nav_label="lessons", footer=made), encoding="utf-8")
