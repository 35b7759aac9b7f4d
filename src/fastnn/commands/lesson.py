"""``fastnn lesson``: experiments that show what the course notes claim."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ..flags import FINE, Found, HelpFormatter, UsageError


def add(commands: Any) -> None:
    """The command's flags."""
    lesson = commands.add_parser(
        "lesson", help="run an experiment of the course notes and draw it", allow_abbrev=False,
        formatter_class=HelpFormatter,
        description="Run an experiment, print and explain the figures it found, write NAME.png and the few "
                    "lines of Python that did it, NAME.py. Each takes less than a minute.",
        epilog="example: fastnn lesson slowdown")
    lesson.set_defaults(run=run_lesson)
    flag = lesson.add_argument
    flag("names", nargs="*", metavar="NAME", help="which, by name or number; --list has them")
    flag("--list", action="store_true", help="print names and titles only")
    flag("--all", action="store_true", help="every lesson, in order")
    flag("--output", metavar="FOLDER", default=".", help="where pictures and programs go")
    flag("--html", metavar="FOLDER", help="write the lessons as a small static site instead")


def run_lesson(arguments: argparse.Namespace) -> Found:
    """``fastnn lesson``."""
    from ..lessons import LESSONS, find  # here, because other commands need none

    if arguments.list:
        width = max(map(len, LESSONS))
        print("\n".join(f"{each.number:>2}  {each.name:<{width}}  {each.title}" for each in LESSONS.values()))
        return FINE, {"lessons": [{"number": each.number, "name": each.name, "title": each.title}
                                  for each in LESSONS.values()]}
    if arguments.all == bool(arguments.names):
        raise UsageError("NAME", "expected names of lessons, or --all; fastnn lesson --list prints them")
    chosen = list(LESSONS.values()) if arguments.all else [find(name, LESSONS) for name in arguments.names]
    folder = Path(arguments.output)
    if not arguments.html and not folder.is_dir():
        raise UsageError("--output", f"expected a folder that is there, got {arguments.output!r}")
    from ..plot.style import pyplot
    pyplot()  # says at once where matplotlib is missing
    done, told = [], []
    for lesson in chosen:
        done.append(lesson.run())
        print(done[-1], end="\n\n")
        files = [] if arguments.html else done[-1].save(folder)
        if files:
            print(f"written: {', '.join(map(str, files))}\n")
        told.append({"number": lesson.number, "name": lesson.name, "title": lesson.title, "table": done[-1].table,
                     "figures": done[-1].figures, "words": done[-1].words, "files": list(map(str, files))})
    document: dict[str, Any] = {"lessons": told}
    if arguments.html:
        from ..lessons.site import write_site
        document["html"] = str(write_site(done, Path(arguments.html)))
        print(f"written: {document['html']}")
    return FINE, document
