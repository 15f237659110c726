"""Promises of `sinks.page`: all of a run is there, in order, for everybody; and whatever models wrote stays text."""

import re
import time
from itertools import pairwise
from typing import Any

import pytest

from fusion_cli.about import About
from fusion_cli.sinks.page.document import page
from fusion_cli.sinks.page.style import STYLE
from fusion_cli.sinks.page.text import block
from tests.sinks.hostile_page import Page, attacks, hostile
from tests.sinks.shown_runs import FACTS, GPT, OPUS, QUESTION, SHOWN, Shown

ABOUT = About(QUESTION, FACTS)
TRAP = "http://trap.example/"
TAGS = """html head meta title style body main header footer section h1 h2 h3 h4 h5 h6 p div span ul ol li a br hr em
    strong s code pre blockquote table thead tbody tfoot tr th td details summary figure svg desc g rect line text
    tspan"""
ATTRIBUTES = """lang charset http-equiv content name class dir href rel tabindex role aria-label aria-labelledby
    aria-hidden scope id start x y x1 x2 y1 y2 dx width height text-anchor"""


def page_of(shown: Shown) -> str:
    """Return a run's page."""
    return page(shown.run, About(QUESTION, FACTS, shown.unfinished, shown.timeline))


def seen(html: str) -> str:
    """Return what a page's reader reads."""
    return " ".join("".join(Page(html).text).split())


@pytest.fixture(scope="module")
def under_attack() -> Page:
    """Return the page of a run whose every text is hostile."""
    run, question, facts, rows = hostile(TRAP)
    return Page(page(run, About(question, facts, attacks(TRAP), rows)))


class TestHostile:
    """What a browser would do with the page, by its text; `test_page_browser` asks a real one."""

    def test_there_are_no_tags_but_the_pages(self, under_attack: Page) -> None:
        """No script, frame, picture, form or link element, whatever the run's texts hold."""
        assert {tag for tag, _ in under_attack.tags} <= set(TAGS.split())

    def test_there_are_no_attributes_but_the_pages(self, under_attack: Page) -> None:
        """No event handler, no style, nothing that loads."""
        assert {name for _, attributes in under_attack.tags for name in attributes} <= set(ATTRIBUTES.split())

    def test_links_go_to_the_web_alone(self, under_attack: Page) -> None:
        """To http and https, without a referrer, and from `a` alone."""
        links = [(tag, attributes) for tag, attributes in under_attack.tags if "href" in attributes]
        assert len(links) > 10
        assert {tag for tag, _ in links} == {"a"}
        assert all(re.fullmatch(r"https?://[!-~]+", attributes["href"] or "") for _, attributes in links)
        assert {attributes["rel"] for _, attributes in links} == {"noopener noreferrer nofollow"}

    def test_every_tag_is_closed_where_it_was_opened(self, under_attack: Page) -> None:
        """No text ends a section, the style sheet or the title before its time."""
        assert (under_attack.misnested, under_attack.open) == ([], [])
        assert [tag for tag, _ in under_attack.tags].count("title") > 1
        assert [tag for tag, _ in under_attack.tags].count("style") == 1

    def test_the_policy_allows_nothing(self, under_attack: Page) -> None:
        """Should anything get through all the same, the browser refuses to run or fetch it."""
        policies = [each["content"] or "" for tag, each in under_attack.tags if "http-equiv" in each]
        assert len(policies) == 1
        assert policies[0].startswith("default-src 'none'; style-src 'unsafe-inline'")

    def test_controls_are_gone(self, under_attack: Page) -> None:
        """Escape sequences and direction controls do nothing in a page either."""
        text = "".join(under_attack.text)
        assert not set(text) & set("\x00\x1b\u202e")
        assert "<U+202E>" in text

    def test_what_was_written_is_still_read(self, under_attack: Page) -> None:
        """Hostile text is shown, not dropped, a megabyte in one line included."""
        text = "".join(under_attack.text)
        assert "a" * 1_000_000 in text
        assert "<script>document.title='pwned'" in text

    @pytest.mark.parametrize(
        "unit", ["[", "![", "[a\n", "*a_\n", "**x ", "`a\n", "|a|\n|-|\n", "1. a\n  ", "[a](\n", "> - ", "_a*b~~c\n"]
    )
    def test_no_text_takes_long(self, unit: str) -> None:
        """A megabyte of what is hard to parse is a page within seconds, and none of its words is lost."""
        begun = time.monotonic()
        html = block("word " + unit * (1_000_000 // len(unit)), 2) + block(
            unit * (150_000 // len(unit)) + "\n\nlast", 2
        )
        assert time.monotonic() - begun < 60
        assert "word" in html
        assert "last" in html

    def test_deep_nesting_loses_nothing(self) -> None:
        """What the parser would leave out is shown as it is written."""
        assert "deep inside" in block("> - " * 300 + "deep inside", 2)


class TestContent:
    """What stands in the page."""

    @pytest.mark.parametrize("name", SHOWN)
    def test_headings_are_in_order(self, name: str) -> None:
        """One of the first level, and none more than one below the one before, the models' own included."""
        levels = [int(level) for level in re.findall(r"<h([1-6])>", page_of(SHOWN[name]))]
        assert levels[0] == 1
        assert levels.count(1) == 1
        assert all(after <= before + 1 for before, after in pairwise(levels))

    def test_a_models_headings_go_below_ours(self) -> None:
        """Whatever levels it jumps over."""
        assert re.findall("<h.>", block("### a\n# b\n##### c\n## d\n###### e", 3)) == [
            "<h4>",
            "<h4>",
            "<h5>",
            "<h5>",
            "<h6>",
        ]

    def test_sections_are_all_there(self) -> None:
        """From the answer to what it took."""
        heads = re.findall(r"<h2>(.*)</h2>", page_of(SHOWN["happy"]))
        assert heads == [
            *("Answer", "Sources", "Consensus", "Contradictions", "Partial coverage", "Unique insights", "Blind spots"),
            *("Checks", "How it went", "What it took", "Responses", "Warnings"),
        ]
        assert re.findall(r"<h2>(.*)</h2>", page_of(SHOWN["failed"])) == [
            *("No answer", "Answer, cut off", "No analysis", "How it went", "Failed"),
        ]

    def test_a_panelist_has_one_colour(self) -> None:
        """In tables, insights, plot and responses."""
        html = page_of(SHOWN["happy"])
        for label, colour in ((GPT, "p0"), (OPUS, "p1")):
            assert set(re.findall(rf'class="who (\w+)">{label}<', html)) == {colour}
            assert re.search(rf'<g class="row {colour}">\n<text[^>]*><tspan class="name">{label}<', html)

    def test_tables_say_what_their_headings_are_of(self) -> None:
        """Each heading of a table has a scope, and each dot a word for who cannot see it."""
        html = page_of(SHOWN["happy"])
        heads = [attributes for tag, attributes in Page(html).tags if tag == "th"]
        assert {attributes.get("scope") for attributes in heads} == {"col", "row"}
        assert html.count('<span class="hidden">yes</span>') == 3
        assert html.count('<span class="hidden">no</span>') == 3

    def test_columns_are_aligned_as_their_model_wants_them(self) -> None:
        """To the right and in the middle, heads and cells; on the left is everything else."""
        html = block("| a | b | c |\n|:-|-:|:-:|\n| 1 | 2 | 3 |", 2)
        assert re.findall(r"<(t[hd])[^>]*?(?: class=\"(\w+)\")?>\w", html) == [
            *(("th", ""), ("th", "right"), ("th", "center")),
            *(("td", ""), ("td", "right"), ("td", "center")),
        ]

    def test_without_an_answer_that_is_what_is_missing(self) -> None:
        """Said before who failed, as a panelist that failed is not why; with an answer nothing of it is said."""
        degraded = SHOWN["degraded"].run
        assert "is degraded: 2 panelists failed" in page(degraded, ABOUT)
        unanswered = degraded.model_copy(update={"answer": None})
        assert "has no result: there is no answer, 2 panelists failed" in page(unanswered, ABOUT)

    def test_the_plot_is_told_in_words(self) -> None:
        """Who cannot see it hears who did what for how long; who failed is said."""
        html = page_of(SHOWN["happy"])
        assert 'role="img" aria-labelledby="plot-title plot-told"' in html
        assert f"{OPUS}: waited 2 s, thought 7.5 s, wrote 5.4 s" in html
        assert "✕ failed" not in html
        assert page_of(SHOWN["degraded"]).count("✕ failed") == 3

    def test_without_a_timeline_there_is_no_plot(self) -> None:
        """Nor its heading."""
        assert "How it went" not in page(SHOWN["happy"].run, ABOUT)

    def test_what_is_unknown_is_not_nothing(self) -> None:
        """A cost that nobody told is unknown, and so is the sum of it and others."""
        foot = page_of(SHOWN["degraded"]).partition("<tfoot>")[2].partition("</tfoot>")[0]
        assert foot.count("unknown") == 3
        assert "$" not in foot

    def test_what_failed_a_check_is_marked(self) -> None:
        """A quote that was not found, and a point of the first look alone."""
        text = seen(page_of(SHOWN["happy"]))
        assert "locks. (quote not found)" in text
        assert "there are. (not in the second look)" in text

    def test_a_long_question_is_there_whole(self) -> None:
        """Its first line is the title, and all of it stands below."""
        html = page(SHOWN["happy"].run, About("Which?\nAnd *why*?", FACTS))
        assert "<h1>Which?</h1>" in html
        assert "And <em>why</em>?" in html


def luminance(colour: str) -> float:
    """Return how light a colour is, as WCAG 2 has it."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_colour_of_text_is_readable(theme: str) -> None:
    """At least 4.5 to 1 on its background, in either theme."""
    light, dark = re.findall(r":root \{([^}]*)\}", STYLE)[:2]
    colours: dict[str, Any] = dict(re.findall(r"--([\w-]+): (#\w{6})", light if theme == "light" else dark))
    for name in ("ink", "faint", "link", "warn", "bad", "outer", *(f"p{number}" for number in range(8))):
        for ground in ("ground", "raised", "warn-ground") if name == "warn" else ("ground", "raised"):
            a, b = sorted((luminance(colours[name]), luminance(colours[ground])))
            assert (b + 0.05) / (a + 0.05) >= 4.5, (theme, name, ground)
