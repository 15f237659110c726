"""Promises of `fitting`: estimates on the safe side, fair and readable cuts, refusals for length told apart."""

import random
import re

import pytest

from fusion_cli.fitting import LEAST_TOKENS, estimated_tokens, fit, is_too_long

MARKER = re.compile(r"\n\n\[cut here: the first ([\d,]+) of ([\d,]+) characters are shown\]\Z")
SEED = 20261
WORDS = [
    "a",
    "model",
    "says",
    "so.",
    "Really?",
    "数据库很好。",
    "🥊",
    "\n",
    "\n\n",
    "```py\n",
    "~~~~\n",
    "`" * 15,
    "é" * 40,
]


def kept_of(cut: str, whole: str) -> str:
    """Return what a cut shows of the whole, after checking the line that says so."""
    told = MARKER.search(cut)
    assert told, cut[-200:]
    shown, total = (int(figure.replace(",", "")) for figure in told.groups())
    assert total == len(whole)
    kept = whole[:shown]
    assert cut[: told.start()] in {kept, *(f"{kept}\n{marks * n}" for marks in "`~" for n in range(3, 13))}
    return kept


def cut_to(text: str, tokens: int) -> str:
    """Return what is kept of one text that does not fit."""
    (cut,) = fit({"A": text}, tokens).values()
    assert estimated_tokens(cut) <= tokens
    return kept_of(cut, text)


class TestEstimate:
    """How long a text is for a model."""

    @pytest.mark.parametrize(
        ("text", "tokens"),
        [
            ("", 0),
            ("a", 1),
            ("abc", 1),
            ("abcd", 2),
            ("数据库", 3),
            ("é", 1),
            ("🥊", 2),
            ("\ud83d", 1),
            ("a" * 3000, 1000),
        ],
    )
    def test_three_bytes_are_a_token(self, text: str, tokens: int) -> None:
        """A token for every three bytes begun, and nothing that a string can hold raises."""
        assert estimated_tokens(text) == tokens


class TestShares:
    """Who is cut, and how far."""

    def test_what_fits_is_not_touched(self) -> None:
        """With room for all, every text is the same object, in the same order; nobody's is an empty mapping."""
        responses = {"B": "x" * 3000, "A": "数" * 1000, "C": ""}
        fitted = fit(responses, 2000)
        assert list(fitted) == ["B", "A", "C"]
        assert all(fitted[name] is text for name, text in responses.items())
        assert fit({}, 0) == {}

    def test_short_ones_leave_their_rest_to_the_long(self) -> None:
        """The short are whole, and the long share what is left evenly and almost to the last token."""
        responses = {"A": "x" * 90_000, "B": "short", "C": "y" * 60_000, "D": "z" * 3000}
        fitted = fit(responses, 10_000)
        assert [name for name, text in fitted.items() if text is responses[name]] == ["B", "D"]
        assert [estimated_tokens(fitted[name]) for name in "AC"] == [(10_000 - 2 - 1000) // 2] * 2

    @pytest.mark.parametrize("budget", [0, -1, -(10**9), 1, LEAST_TOKENS])
    def test_a_hopeless_budget_still_leaves_a_beginning(self, budget: int) -> None:
        """However little there is, each response keeps its minimum, and what is no longer than that stays whole."""
        responses = {"A": "x" * 5678, "B": "y" * 3 * LEAST_TOKENS, "C": "z" * 5678}
        fitted = fit(responses, budget)
        assert fitted["B"] is responses["B"]
        for name in "AC":
            assert len(kept_of(fitted[name], responses[name])) >= 200
            assert estimated_tokens(fitted[name]) <= LEAST_TOKENS

    def test_what_was_fitted_fits(self) -> None:
        """Fitting again to the same budget changes nothing."""
        fitted = fit({"A": "word " * 5000, "B": "word. " * 9000}, 3000)
        assert fit(fitted, 3000) == fitted

    @pytest.mark.parametrize("seed", range(SEED, SEED + 150))
    def test_any_responses_are_fitted_fairly(self, seed: int) -> None:
        """The total keeps to the budget, what fits its fair share is the same, and each cut one is a beginning."""
        dice = random.Random(seed)  # noqa: S311  # a table of cases, not a secret
        responses = {
            letter: dice.choice(["", " "]).join(dice.choices(WORDS, k=int(10 ** dice.uniform(0, 3.5))))
            for letter in "ABCDEFGH"[: dice.randint(1, 8)]
        }
        budget = LEAST_TOKENS * len(responses) + int(10 ** dice.uniform(0, 4))
        fitted = fit(responses, budget)
        assert list(fitted) == list(responses)
        assert sum(map(estimated_tokens, fitted.values())) <= budget
        for name, text in responses.items():
            if estimated_tokens(text) <= budget // len(responses):
                assert fitted[name] is text
            if fitted[name] is not text:
                assert 0 < len(kept_of(fitted[name], text)) < len(text)
                assert estimated_tokens(fitted[name]) <= max(estimated_tokens(other) for other in fitted.values())
        if sum(map(estimated_tokens, responses.values())) <= budget:
            assert fitted == responses


class TestCut:
    """Where a text ends that is too long."""

    @pytest.mark.parametrize(
        ("text", "end"),
        [
            (("One. Two\nthree. " * 8 + "\n\n") * 20, "\n\n"),
            (("One. Two\nthree. " * 8 + "\n \t\n") * 20, "\n \t\n"),
            (("One. Two three. " * 8 + "\n") * 20, "\n"),
            (("One. Two three. " * 8 + "\r\n") * 20, "\r\n"),
            ("One two three. " * 200, ". "),
            ('"One two (three!)" ' * 200, '!)" '),
            ("一二三四五。" * 200, "。"),
            ("one two three " * 200, " "),
        ],
        ids=["paragraph", "blank", "line", "crlf", "sentence", "quoted", "chinese", "word"],
    )
    def test_it_ends_at_the_best_place_that_is_near(self, text: str, end: str) -> None:
        """A paragraph's end is better than a line's, a sentence's or a word's."""
        kept = cut_to(text, 200)
        whole = kept + text[len(kept) :][: len(end) + 120]
        place = whole.index(end, max(0, len(kept) - len(end)))
        assert whole[:place].rstrip() == kept or whole[: place + len(end)].rstrip() == kept
        assert len(kept.encode()) >= 0.5 * (600 - 80)

    def test_a_far_break_is_passed_over(self) -> None:
        """A break that would cost more than half of the share gives way to the next kind."""
        assert cut_to("Title\n\n" + "one two three " * 200, 200).endswith(("one", "two", "three"))
        assert len(cut_to("Title\n\nLine\nA sentence. " + "x" * 5000, 200)) > 500

    def test_a_break_right_behind_the_share_counts(self) -> None:
        """A paragraph that fills its share exactly is kept whole."""
        text = "x" * 5000
        room = len(cut_to(text, 200))
        assert cut_to("x" * room + "\n\n" + "x" * (4998 - room), 200) == "x" * room

    @pytest.mark.parametrize("character", ["é", "数", "🥊", "\ud83d\udc4d", "\ud83d"])
    @pytest.mark.parametrize("before", ["", "x", "xx", "xxx"])
    def test_no_character_is_cut_in_two(self, before: str, character: str) -> None:
        """Neither UTF-8 nor a pair of surrogates is split."""
        kept = cut_to(before + character * 2000, 200)
        assert (len(kept) - len(before)) % len(character) == 0
        assert len(kept.encode("utf-8", "surrogatepass")) > 500

    @pytest.mark.parametrize(
        ("opening", "closing"),
        [
            ("```python\n", "\n```"),
            ("```\n", "\n```"),
            ("  ````md\n```\n", "\n````"),
            ("~~~\n```\n", "\n~~~"),
            ("```\ncode\n```\n", ""),
            ("```\ncode\n`````\n", ""),
            ("```not a fence``` but code\n", ""),
            ("text ```\n", ""),
            ("`" * 13 + "\n", ""),
            ("", ""),
        ],
    )
    def test_an_open_code_block_is_closed(self, opening: str, closing: str) -> None:
        """What follows a cut, the marker first, is never code of the response's."""
        text = opening + "x = 1\n" * 500
        (cut,) = fit({"A": text}, 200).values()
        assert cut[: MARKER.search(cut).start()] == kept_of(cut, text) + closing  # type: ignore[union-attr]
        assert estimated_tokens(cut) <= 200

    @pytest.mark.parametrize("text", ["`" * 9000, ("`" * 12 + "\n") * 900, "~" * 9000, " " * 9000, "\n" * 9000])
    def test_a_strange_text_keeps_to_its_share(self, text: str) -> None:
        """Fences without end, or nothing but white space, are cut like anything else."""
        for tokens in range(LEAST_TOKENS, LEAST_TOKENS + 40):
            cut_to(text, tokens)

    def test_the_marker_stands_alone_and_counts_characters(self) -> None:
        """A reader is told how much of how much there is, with thousands set apart."""
        (cut,) = fit({"A": "word " * 2000}, 1000).values()
        assert cut.splitlines()[-2:] == ["", "[cut here: the first 2,939 of 10,000 characters are shown]"]

    def test_megabytes_are_cut_at_once(self) -> None:
        """The longest response that the wire lets through, of the worst kinds, takes no noticeable time."""
        for text in ("x" * 2_000_000, "\n" * 2_000_000, " " * 2_000_000, "```\n" * 500_000, "." * 2_000_000):
            cut_to(text, 200_000)


TOO_LONG = [
    "This model's maximum context length is 4097 tokens. However, you requested 4203 tokens (3703 in the messages, 500 "
    "in the completion). Please reduce the length of the messages or completion.",
    "Your input exceeds the context window of this model. Please adjust your input and try again.",
    "Invalid 'messages[1].content': string too long. Expected a string with maximum length 1048576, but got 2000000.",
    "this endpoint's maximum context length is 131072 tokens. however, you requested about 138956 tokens (7884 of text "
    'input, 131072 in the output). please reduce the length of either one, or use the "middle-out" transform',
    '{"error":{"message":"Input too large","code":"context_length_exceeded"}}',
    "prompt is too long: 208310 tokens > 200000 maximum",
    "input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000, decrease input length",
    "Input is too long for requested model.",
    "ValidationException: 400 Bad Request: Too many input tokens. Max input tokens: 8192, request input: 9279",
    "The input token count (1200293) exceeds the maximum number of tokens allowed (1048576).",
    "This model's maximum prompt length is 131072 but the request contains 537812 tokens.",
    "Please reduce the length of the messages or completion.",
    "Range of input length should be [1, 30720]",
    "Invalid request: Your request exceeded model token limit: 262144 (requested: 300000)",
    "The input (9000 tokens) is longer than the model's context length (8192 tokens).",
    "prompt token count of 130000 exceeds the limit of 128000",
    "The decoder prompt (length 21535) is longer than the maximum model length of 16384.",
    "Prompt length of 5016 is longer than the maximum model length of 4096.",
    "'max_tokens' or 'max_completion_tokens' is too large: 8000. This model's maximum context length is 8192 tokens "
    "and your request has 2423 input tokens (8000 > 8192 - 2423).",
    "`inputs` tokens + `max_new_tokens` must be <= 4096. Given: 5000 `inputs` tokens and 100 `max_new_tokens`",
    "`inputs` must have less than 1024 tokens. Given: 2000",
    "Prompt contains 40000 tokens, too large for model with 32768 maximum context length",
    "request (13392 tokens) exceeds the available context size (8192 tokens), try increasing it",
    "the request exceeds the available context size. try increasing the context size or enable context shift",
    "Requested tokens (2285) exceed context window of 2048",
    "The number of tokens to keep from the initial prompt is greater than the context length.",
    "the input length exceeds the context length",
    "prompt too long; exceeded max context length by 120 tokens",
    "invalid params, context window exceeds limit (2013)",
    "too many tokens: total number of tokens in the prompt cannot exceed 4081 - received 7264.",
    "tokens in request more than max tokens allowed",
    "Context size has been exceeded.",
]

SOMETHING_ELSE = [
    "",
    "Bad Request",
    "max_tokens is too large: 6000. This model supports at most 4096 completion tokens, whereas you provided 6000.",
    "max_tokens: 100000 > 64000, which is the maximum allowed number of output tokens for claude",
    "The parameter `max_completion_tokens` specified in the request are not valid: integer above maximum value, "
    "expected a value <= 12288, but got 32000 instead.",
    "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
    "Could not finish the message because max_tokens or model output limit was reached.",
    "Unsupported value: 'temperature' does not support 0.2 with this model. Only the default (1) value is supported.",
    "Invalid schema for response_format 'fusion_analysis': In context=('properties', 'consensus'), 'maxLength' is not "
    "permitted.",
    "This response_format type is unavailable now",
    "Unknown parameter: 'context_length'.",
    "Invalid 'tools[0].function.name': string too long. Expected a string with maximum length 64, but got 80.",
    "Invalid 'stop': array too long. Expected an array with maximum length 4, but got an array with length 5 instead.",
    "No endpoints found that support tool use. To learn more about provider routing, visit the documentation",
    "openai/gpt-9 is not a valid model ID",
    "reasoning.max_tokens must be less than max_tokens",
    "The prompt was flagged by moderation",
    "Grammar is too long",
]


class TestRefusal:
    """What a server means."""

    @pytest.mark.parametrize("said", TOO_LONG)
    def test_refusals_for_length_are_known(self, said: str) -> None:
        """The words that servers have for it are understood, also behind the status and in another case."""
        assert is_too_long(said, 400)
        assert is_too_long(f"HTTP 422: {said.upper()}", 422)

    @pytest.mark.parametrize("said", SOMETHING_ELSE)
    def test_other_refusals_are_not_mistaken(self, said: str) -> None:
        """A schema, a parameter or the answer's limit is nothing that a shorter prompt would help."""
        assert not is_too_long(said, 400)
        assert not is_too_long(said, None)

    @pytest.mark.parametrize(
        ("status", "too_long"),
        [(400, True), (422, True), (413, True), (None, True), *((s, False) for s in (200, 401, 404, 429, 500, 503))],
    )
    def test_words_count_where_a_prompt_is_refused(self, status: int | None, too_long: bool) -> None:
        """A rate limit or a breakdown that quotes the words is none; an error without a status is what it says."""
        assert is_too_long("prompt is too long", status) is too_long

    def test_too_large_needs_no_words(self) -> None:
        """HTTP 413 says it by itself."""
        assert is_too_long("", 413)
