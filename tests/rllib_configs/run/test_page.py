"""Pages of HTML."""

from html.parser import HTMLParser

import pytest
from matplotlib.figure import Figure

from rllib_configs.run.page import MAX_BYTES, Section, drawing, film, flat, paragraph, table, write_page


class Reader(HTMLParser):
    """What a reader of the page sees, and what a browser would fetch."""

    def __init__(self, html):
        super().__init__()
        self.open, self.texts, self.sources = [], [], []
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        if tag not in ("meta", "br", "path", "use", "rect", "image"):
            self.open.append(tag)
        self.sources += [value for name, value in attributes if name in ("src", "href", "xlink:href")]

    def handle_startendtag(self, tag, attributes):
        self.sources += [value for name, value in attributes if name in ("src", "href", "xlink:href")]

    def handle_endtag(self, tag):
        if tag in self.open:
            assert self.open.pop() == tag

    def handle_data(self, data):
        if data.strip() and "style" not in self.open:
            self.texts.append(data.strip())


def read(path):
    return Reader(path.read_text())


def test_a_page_shows_what_it_was_given(tmp_path):
    """In order, and whatever characters there are."""
    sections = [Section("One & only", [paragraph("a < b"), table([("task", "rate"), ("<script>", "5 %")])])]
    write_page(tmp_path / "page.html", "Run", "Half of it.", sections)
    page = read(tmp_path / "page.html")
    assert page.texts == ["Run", "Run", "Half of it.", "One & only", "a < b", "task", "rate", "<script>", "5 %"]
    assert page.open == []


def test_nothing_is_fetched(tmp_path):
    """A figure refers to its own parts alone, a film is in the page."""
    figure = Figure()
    figure.subplots().plot([0, 1], [0, 1], label="line")
    (tmp_path / "a.mp4").write_bytes(b"film")
    blocks = [drawing(figure, "A line."), film(tmp_path / "a.mp4", "A film.")]
    write_page(tmp_path / "page.html", "Run", "", [Section("All", blocks)])
    page = read(tmp_path / "page.html")
    assert {"A line.", "A film."} <= set(page.texts)
    assert all(source.startswith(("#", "data:video/mp4;base64,")) for source in page.sources)


def test_the_same_figure_is_the_same_text():
    """Pages of the same results can be compared."""

    def drawn():
        figure = Figure()
        figure.subplots().plot([0, 1], [0, 1])
        return drawing(figure, "A line.")

    assert drawn() == drawn()


def test_a_film_that_does_not_fit_is_named(tmp_path):
    """The page stays small enough to be sent."""
    (tmp_path / "a.mp4").write_bytes(bytes(MAX_BYTES))
    assert film(tmp_path / "a.mp4", "A film") == "<p>A film: a.mp4, beside this page.</p>"


@pytest.mark.parametrize("has_total", [True, False])
def test_a_total_stands_out(has_total):
    """By the style of tables that are not plain."""
    assert ('class="plain"' in table([("a",), ("1",)], has_total)) != has_total


def test_nested_values_are_named_with_points():
    """Lists stay values."""
    assert dict(flat({"a": 1, "b": {"c": [2], "d": {"e": None}}})) == {"a": 1, "b.c": [2], "b.d.e": None}
