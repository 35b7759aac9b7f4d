"""An HTML page as a tree, and what every page of fastnn's must hold, for tests."""
import re
from html.parser import HTMLParser

VOID = {"meta", "img", "br", "hr", "input", "link"}


class Element:
    def __init__(self, tag, attributes, parent):
        self.tag, self.attributes, self.parent = tag, attributes, parent
        self.children, self.texts = [], []

    def all(self, tag=None, cls=None):
        """This one and those in it, of a tag, of a class."""
        fits = (tag is None or self.tag == tag) and (cls is None or cls in self.attributes.get("class", "").split())
        return [self] * fits + [element for child in self.children for element in child.all(tag, cls)]

    @property
    def text(self):
        return "".join(part if isinstance(part, str) else part.text for part in self.texts)


class Page(HTMLParser):
    """The tree of a page; refuses tags that are not closed in order."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.root = self.at = Element("", {}, None)
        self.source = text
        self.feed(text)
        self.close()
        assert self.at is self.root, f"not closed: {self.at.tag}"

    def handle_starttag(self, tag, attrs):
        assert len(dict(attrs)) == len(attrs), f"an attribute twice: {attrs}"
        element = Element(tag, {name: value or "" for name, value in attrs}, self.at)
        self.at.children.append(element)
        self.at.texts.append(element)
        if tag not in VOID:
            self.at = element

    def handle_endtag(self, tag):
        assert tag == self.at.tag, f"</{tag}> closes <{self.at.tag}>"
        self.at = self.at.parent

    def handle_data(self, data):
        self.at.texts.append(data)

    def all(self, tag=None, cls=None):
        return self.root.all(tag, cls)

    def one(self, tag=None, cls=None):
        found = self.all(tag, cls)
        assert len(found) == 1, (tag, cls, len(found))
        return found[0]

    def by_id(self, name):
        found = [element for element in self.root.all() if element.attributes.get("id") == name]
        assert len(found) == 1, (name, len(found))
        return found[0]

    def section(self, name):
        """The section whose heading has this id."""
        return self.by_id(name).parent

    def table(self, name):
        """The rows of a table by the id of its caption, as texts, the header first."""
        table = self.by_id(name).parent
        return [[cell.text for cell in row.children] for row in table.all("tr")]

    def ids(self):
        return [element.attributes["id"] for element in self.root.all() if "id" in element.attributes]


def check_page(text):
    """The page, after a look at what makes it accessible, safe and self-contained."""
    page = Page(text)
    assert text.startswith("<!DOCTYPE html>") and page.one("html").attributes["lang"] == "en"
    assert page.one("title").text.strip() == page.one("h1").text.strip() != ""
    assert len(page.all("main")) == 1 and len(page.all("footer")) == 1
    assert page.ids() == list(dict.fromkeys(page.ids())), "an id twice"
    levels = [int(h.tag[1]) for h in page.root.all() if h.tag in ("h1", "h2", "h3", "h4")]
    assert levels[0] == 1 and all(b <= a + 1 for a, b in zip(levels, levels[1:], strict=False)), levels
    for image in page.all("img"):
        assert len(image.attributes["alt"]) > 8, image.attributes["alt"]
    for figure in page.all("figure"):
        assert len(figure.all("img")) == len(figure.all("figcaption")) == 1
    for table in page.all("table"):
        assert table.all("caption") and table.all("caption")[0].text.strip()
        header, *rows = table.all("tr")
        assert rows and all(cell.tag == "th" and cell.attributes["scope"] == "col" for cell in header.children)
        for row in rows:
            assert len(row.children) == len(header.children), [cell.text for cell in row.children]
            first, *others = row.children
            assert first.tag == "th" and first.attributes["scope"] == "row" and all(c.tag == "td" for c in others)
    for region in page.all("div", "wide"):
        assert region.attributes["tabindex"] == "0" and region.attributes["aria-labelledby"] in page.ids()
    for section in page.all("section"):
        assert page.by_id(section.attributes["aria-labelledby"]).tag == "h2"
    assert not page.all("script") and not page.all("link") and not page.all("iframe")
    for element in page.root.all():
        assert not [name for name in element.attributes if name.startswith("on")], element.attributes
        for name in ("src", "href", "srcset", "action", "data"):
            value = element.attributes.get(name, "data:")
            assert value.startswith(("data:image/", "data:", "#")) or "/" not in value, value[:80]
    for outside in ("http:", "https:"):
        assert outside not in text, outside
    assert not re.search(r"@import|url\(", page.one("style").text)
    for link in page.all("a"):
        target = link.attributes["href"]
        assert not target.startswith("#") or target[1:] in page.ids(), target
    return page
