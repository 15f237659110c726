"""Promises of `catalogues`: models that a list does not have are told in one line, with the names that come nearest."""

import time

import pytest

from fusion_cli.api.catalogue import Catalogue, ListedModel
from fusion_cli.catalogues import unlisted

SLUGS = ("openai/gpt-5", "openai/gpt-5-mini", "anthropic/claude-opus-4.8", "google/gemini-3-pro")
KEPT = Catalogue("http://a/v1", time.time() - 3 * 3600 - 60, tuple(map(ListedModel, SLUGS)))


@pytest.mark.parametrize(
    ("slugs", "said"),
    [
        (("openai/gpt-5", "openai/gpt-5:nitro"), []),
        (
            ("opnai/gpt-5", "openai/gpt-5"),
            ["opnai/gpt-5 is not in the model list of 3 hours ago; did you mean openai/gpt-5, openai/gpt-5-mini?"],
        ),
        (("zebra",), ["zebra is not in the model list of 3 hours ago"]),
        (
            ("opnai/gpt-5", "zebra", "anthropic/claude-opus-48"),
            [
                "3 models are not in the model list of 3 hours ago: opnai/gpt-5 (openai/gpt-5?), zebra, "
                "anthropic/claude-opus-48 (anthropic/claude-opus-4.8?)"
            ],
        ),
    ],
)
def test_however_many_are_misspelt_it_is_one_line(slugs: tuple[str, ...], said: list[str]) -> None:
    """A single one is told with all that come near, several each with the nearest."""
    assert unlisted(KEPT, slugs) == said


def test_a_whole_panel_of_them_fills_no_screen() -> None:
    """What is cut off on its way to the screen is not said at all, and all are counted."""
    (said,) = unlisted(KEPT, [f"anthropic/claude-opus-4{number}" for number in range(10)])
    assert said.startswith("10 models are not in")
    assert said.endswith("anthropic/claude-opus-44 (anthropic/claude-opus-4.8?) and 5 more")
    assert len(said) < 400
