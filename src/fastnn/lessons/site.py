"""The lessons as a small static site: a page each and an index; nothing is fetched from elsewhere."""

from __future__ import annotations

import html
from collections.abc import Sequence
from pathlib import Path
from string import Template

from .._version import __version__
from .base import Done

STYLE = """\
:root { color-scheme: light dark; --ink: #1a1a1a; --paper: #fdfdfc; --faint: #d8d8d4; --link: #00569c; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e4e4e0; --paper: #17181a; --faint: #3c3e42; --link: #8ec7ff; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem; max-width: 46rem; font: 1rem/1.6 system-ui, sans-serif;
  color: var(--ink); background: var(--paper); overflow-wrap: break-word; }
h1 { font-size: 1.5rem; line-height: 1.25; }
a { color: var(--link); }
nav { display: flex; flex-wrap: wrap; gap: 0.3rem 1.2rem; }
img { max-width: 100%; height: auto; border-radius: 6px; background: white; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 0.9rem; }
th, td { padding: 0.25rem 0.7rem 0.25rem 0; border-bottom: 1px solid var(--faint); text-align: right; }
th:first-child, td:first-child { text-align: left; }
tbody th { font-weight: normal; }
pre { overflow-x: auto; padding: 0.8rem; border: 1px solid var(--faint); border-radius: 6px;
  font-size: 0.82rem; line-height: 1.45; }
footer { margin-top: 2rem; font-size: 0.85rem; }
li { margin: 0.3rem 0; }
"""

PAGE = Template("""\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<style>
$style</style>
</head>
<body>
<nav aria-label="lessons">$nav</nav>
<main>
<h1>$title</h1>
$body
</main>
<footer>Made by <code>fastnn lesson --all --html FOLDER</code> with fastnn $version, on this machine.</footer>
</body>
</html>
""")

LESSON = Template("""\
<p>$words</p>
<p><img src="$name.png" alt="$alt"></p>
<h2>What was found</h2>
<div class="wide"><table>
$table</table></div>
<h2>The program</h2>
<p><code>fastnn lesson $name</code> runs it; it is in <a href="$name.py">$name.py</a>.</p>
<pre><code>$program</code></pre>
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
        links += [f'<a href="{other.lesson.name}.html">{word}: {html.escape(other.lesson.title)}</a>'
                  for word, other in near]
        title = f"{each.lesson.number}. {each.lesson.title}"
        _write(folder / f"{each.lesson.name}.html", title, "\n".join(links), page_body(each))
    items = "\n".join(f'<li value="{each.lesson.number}"><a href="{each.lesson.name}.html">'
                      f'{html.escape(each.lesson.title)}</a></li>' for each in done)
    words = ("Experiments of the classic course notes, run on this machine: what was measured, a picture, "
             "and the few lines of Python that did it.")
    index = folder / "index.html"
    _write(index, "Lessons in neural networks", "", f"<p>{words}</p>\n<ol>\n{items}\n</ol>")
    return index


def page_body(done: Done) -> str:
    """The inside of a lesson's page."""
    header, *rows = ([html.escape(cell) for cell in row] for row in done.table)
    names = "".join(f'<th scope="col">{cell}</th>' for cell in header)
    table = f"<thead><tr>{names}</tr></thead>\n<tbody>\n"
    for name, *cells in rows:
        columns = "".join(f"<td>{cell}</td>" for cell in cells)
        table += f'<tr><th scope="row">{name}</th>{columns}</tr>\n'
    return LESSON.substitute(
        name=done.lesson.name, words=html.escape(done.words), table=f"{table}</tbody>\n",
        alt=html.escape(f"The picture of the lesson: {done.lesson.title}. The paragraph above and the table "
                        "below say what it shows."), program=html.escape(done.lesson.program))


def _write(path: Path, title: str, nav: str, body: str) -> None:
    text = PAGE.substitute(title=html.escape(title), style=STYLE, nav=nav, body=body, version=__version__)
    path.write_text(text, encoding="utf-8")
