"""Pages in a headless Chromium: what it measures of them, and what they look like."""
import html
import json
import os
import re
import shutil
import subprocess

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
CHROMIUM = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here; CHROMIUM names one")
SECONDS = 120

# Frames of so many pixels, each with a page; once all are loaded, what the script sees of them.
MEASURE = """<!DOCTYPE html><meta charset="utf-8"><body>%s<pre id="found"></pre><script>
const channels = colour => colour.match(/[\\d.]+/g).map(Number);
const light = colour => {
  const [r, g, b] = channels(colour).map(c => c / 255)
    .map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
function behind(element, view) {
  for (; element; element = element.parentElement) {
    const colour = view.getComputedStyle(element).backgroundColor, [, , , alpha = 1] = channels(colour);
    if (alpha > 0) return colour;
  }
  return "rgb(255, 255, 255)";
}
function look(frame) {
  const page = frame.contentDocument, view = frame.contentWindow, root = page.documentElement;
  const texts = [...page.body.querySelectorAll("*")].filter(element => element.checkVisibility() &&
    [...element.childNodes].some(node => node.nodeType === 3 && node.textContent.trim()));
  const contrast = texts.map(element => {
    const a = light(view.getComputedStyle(element).color), b = light(behind(element, view));
    return [(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), element.textContent.trim().slice(0, 40)];
  }).sort((a, b) => a[0] - b[0]);
  const boxes = [...page.querySelectorAll(".wide, .wide *, pre, pre *")];
  const outside = [...page.body.querySelectorAll("*")].filter(element => !boxes.includes(element) &&
    element.checkVisibility() && element.getBoundingClientRect().right > view.innerWidth + 0.5);
  return {
    width: view.innerWidth, scroll: root.scrollWidth, height: root.scrollHeight,
    outside: outside.map(element => element.outerHTML.slice(0, 80)),
    clipped: [root, page.body].filter(e => view.getComputedStyle(e).overflowX !== "visible").length,
    broken: [...page.images].filter(image => !image.complete || !image.naturalWidth).length,
    images: page.images.length, contrast: contrast[0],
    smallest: Math.min(...texts.map(element => parseFloat(view.getComputedStyle(element).fontSize))),
    fetched: view.performance.getEntriesByType("resource").map(e => e.name).filter(n => !n.startsWith("data:")),
    tables: page.querySelectorAll("table").length, dark: light(view.getComputedStyle(page.body).color) > 0.5,
  };
}
addEventListener("load", () => {
  document.getElementById("found").textContent = JSON.stringify([...document.querySelectorAll("iframe")].map(look));
});
</script>"""


def chromium(*arguments, dark=False):
    """Run it; its standard output."""
    scheme = f"--blink-settings=preferredColorScheme={0 if dark else 1}"
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run",
               "--disable-extensions", "--host-resolver-rules=MAP * ~NOTFOUND", scheme, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, timeout=SECONDS)
    assert done.returncode == 0, done.stderr.decode(errors="replace")[-2000:]
    return done.stdout.decode()


def measured(pages, widths, folder, dark=False):
    """What the script sees of each page (HTML) at each width, in that order."""
    frames = "".join(f'<iframe width="{width}" height="900" style="border: 0" srcdoc="{html.escape(text)}"></iframe>'
                     for text in pages for width in widths)
    (folder / "frames.html").write_text(MEASURE % frames, encoding="utf-8")
    dom = chromium(f"--user-data-dir={folder / 'profile'}", "--virtual-time-budget=20000", "--dump-dom",
                   (folder / "frames.html").as_uri(), dark=dark)
    found = re.search(r'<pre id="found">(.*?)</pre>', dom, re.DOTALL)[1]
    assert found, "the frames did not load"
    return json.loads(html.unescape(found))


def screenshot(page, path, width, height, dark=False):
    """Write a PNG of a page's file."""
    chromium(f"--user-data-dir={path.parent / 'profile'}", f"--window-size={width},{height}", f"--screenshot={path}",
             page.as_uri(), dark=dark)
