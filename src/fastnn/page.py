"""HTML pages that stand alone: template, stylesheet, tables, figures. No script, nothing fetched from elsewhere."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence
from string import Template

from ._version import __version__

STYLE = """\
:root { color-scheme: light dark; --ink: #1a1a1a; --paper: #fdfdfc; --faint: #d8d8d4; --link: #00569c;
  --dim: #5c5c58; --card: #f4f4f1; --width: 46rem; }
@media screen and (prefers-color-scheme: dark) {
  :root { --ink: #e4e4e0; --paper: #17181a; --faint: #3c3e42; --link: #8ec7ff; --dim: #a9a9a4; --card: #202226; }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; text-size-adjust: 100%; }
body { margin: 0 auto; padding: 1rem; max-width: var(--width); font: 1rem/1.6 system-ui, sans-serif;
  color: var(--ink); background: var(--paper); overflow-wrap: break-word; }
h1 { font-size: 1.5rem; line-height: 1.25; }
a { color: var(--link); }
nav { display: flex; flex-wrap: wrap; gap: 0.3rem 1.2rem; }
img { max-width: 100%; height: auto; border-radius: 6px; background: white; }
.wide { overflow-x: auto; }
.wide:focus-visible, pre:focus-visible { outline: 2px solid var(--link); }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 0.9rem; }
caption { text-align: left; padding-bottom: 0.3rem; color: var(--dim); }
caption span { position: sticky; left: 0; display: inline-block; max-width: min(46rem, 100vw - 2rem); }
th, td { padding: 0.25rem 0.7rem 0.25rem 0; border-bottom: 1px solid var(--faint); text-align: right;
  vertical-align: top; }
th:first-child, td:first-child, .words td, .words th { text-align: left; }
thead th { vertical-align: bottom; }
tbody th { font-weight: normal; position: sticky; left: 0; background: var(--paper); }
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
$nav<main>
<h1>$title</h1>
$body
</main>
<footer>$footer</footer>
</body>
</html>
""")
UNSEEN = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")  # what HTML may not hold


class Html(str):
    """Text that is HTML already, which `escape` leaves as it is."""


def escape(value: object) -> str:
    """Text as HTML, in attributes too.

    Examples
    --------
    >>> escape('<script>"')
    '&lt;script&gt;&quot;'
    """
    return value if isinstance(value, Html) else html.escape(UNSEEN.sub("\ufffd", str(value)))


def page(title: str, body: str, *, footer: str, nav: str = "", nav_label: str = "", style: str = "") -> str:
    """A whole page; all but the titles is HTML.

    Examples
    --------
    >>> "<h1>a &lt; b</h1>" in page("a < b", "<p>text</p>", footer="made by hand")
    True
    """
    nav = f'<nav aria-label="{escape(nav_label)}">{nav}</nav>\n' if nav_label else ""
    return PAGE.substitute(title=escape(title), style=STYLE + style, nav=nav, body=body,
                           footer=f"{footer} with fastnn {escape(__version__)}.")


def table(caption: str, header: Sequence[object], rows: Iterable[Sequence[object]], *, name: str,
          words: bool = False) -> str:
    """A table whose first column names the rows, in a box that scrolls where the page is narrow.

    Parameters
    ----------
    caption : str
        What it shows.
    header : sequence of str
        Of the columns.
    rows : iterable of sequence of str
        As long as the header.
    name : str
        Its id on the page.
    words : bool
        Whether the cells are words, which stand at the left.

    Returns
    -------
    str

    Examples
    --------
    >>> print(table("Prices", ["fruit", "price"], [["apple", 3]], name="prices"))
    <div class="wide" role="region" tabindex="0" aria-labelledby="prices"><table>
    <caption id="prices"><span>Prices</span></caption>
    <thead><tr><th scope="col">fruit</th><th scope="col">price</th></tr></thead>
    <tbody>
    <tr><th scope="row">apple</th><td>3</td></tr>
    </tbody></table></div>
    """
    names = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in header)
    lines = [f'<tr><th scope="row">{escape(first)}</th>{"".join(f"<td>{escape(c)}</td>" for c in cells)}</tr>'
             for first, *cells in rows]
    kind = ' class="words"' if words else ""
    return "\n".join([f'<div class="wide" role="region" tabindex="0" aria-labelledby="{name}"><table{kind}>',
                      f'<caption id="{name}"><span>{escape(caption)}</span></caption>',
                      f"<thead><tr>{names}</tr></thead>", "<tbody>", *lines, "</tbody></table></div>"])


def beside(*tables: str) -> str:
    """Tables next to each other where there is room; empty ones are left out.

    Examples
    --------
    >>> beside("<table></table>", "").split()
    ['<div', 'class="tables">', '<table></table>', '</div>']
    """
    return '<div class="tables">\n' + "\n".join(filter(None, tables)) + "\n</div>"


def folded(summary: str, made: str) -> str:
    """HTML that is shown on demand.

    Examples
    --------
    >>> folded("more", "<p>text</p>").splitlines()
    ['<details><summary>more</summary>', '<p>text</p>', '</details>']
    """
    return f"<details><summary>{escape(summary)}</summary>\n{made}\n</details>"


def figure(source: str, alt: str, caption: str, kind: str = "chart") -> str:
    """An image, what it shows for those who do not see it, and what is said about it for all.

    Examples
    --------
    >>> figure("a.png", "a falling line", "The loss")
    '<figure class="chart"><img src="a.png" alt="a falling line"><figcaption>The loss</figcaption></figure>'
    """
    return (f'<figure class="{kind}"><img src="{escape(source)}" alt="{escape(alt)}">'
            f"<figcaption>{escape(caption)}</figcaption></figure>")
