"""What a reader of a report's HTML finds: tables, sections, notes and resources, read with html.parser."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = frozenset({"meta", "link", "br", "img", "hr", "input"})
LOADING = frozenset({"src", "srcset", "data", "action", "background"})


@dataclass
class Element:
    """One element: its tag, attributes, children and own text in order."""

    tag: str
    attributes: dict[str, str]
    parts: list[Element | str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """All text within, blanks collapsed."""
        inner = " ".join(part if isinstance(part, str) else part.text for part in self.parts)
        return " ".join(inner.split())

    def all(self, tag: str) -> list[Element]:
        """Every element `tag` within, in order."""
        found: list[Element] = []
        for part in self.parts:
            if isinstance(part, Element):
                found += [part] if part.tag == tag else []
                found += part.all(tag)
        return found

    def by_id(self, key: str) -> Element:
        """The element with the id `key`."""
        for part in self.parts:
            if isinstance(part, Element):
                if part.attributes.get("id") == key:
                    return part
                try:
                    return part.by_id(key)
                except KeyError:
                    continue
        raise KeyError(key)

    def everything(self) -> list[Element]:
        """Every element within."""
        inner = [part for part in self.parts if isinstance(part, Element)]
        return inner + [one for part in inner for one in part.everything()]


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.root = Element("document", {})
        self.open = [self.root]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs})
        self.open[-1].parts.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open[-1].parts.append(Element(tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open[-1].tag == tag, f"</{tag}> closes <{self.open[-1].tag}>"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        self.open[-1].parts.append(data)


def read(html: str) -> Element:
    """The page as a tree; fails when an element is not closed."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    assert len(reader.open) == 1, f"never closed: {[element.tag for element in reader.open[1:]]}"
    return reader.root


def rows(page: Element, key: str) -> list[list[str]]:
    """The body of the table `key` as text, cell by cell."""
    (body,) = page.by_id(key).all("tbody")
    return [[cell.text for cell in row.all("td")] for row in body.all("tr")]


def external(page: Element) -> list[str]:
    """Everything the page would load or link outside itself."""
    found = [
        value
        for element in page.everything()
        for name, value in element.attributes.items()
        if name in LOADING or (name.endswith("href") and not value.startswith("#"))
    ]
    return found + [
        element.tag for element in page.everything() if element.tag in {"script", "link", "iframe"}
    ]
