"""How much of the responses a model's context can hold: estimates, cuts, and refusals that speak of length.

Pure text and numbers; knows no model, no prompt's words and no wire.
"""

import re
from collections.abc import Callable, Mapping, Sequence

from fusion_cli.chat import Message

# Every hosted model of today reads more than this, so a catalogue is asked only about longer prompts.
SURELY_READ_TOKENS = 24_000
LEAST_TOKENS = 100
_BYTES_PER_TOKEN = 3

# Where a text may end, the best place first; each match ends there.
_BREAKS = (
    r"(?=\n[ \t\r]*\n)",
    r"(?=\r?\n)",
    r"[.!?\u2026][\"'\u201d\u2019\u00bb)\]*_]{0,4}(?=\s)|[\u3002\uff01\uff1f]",  # closed by quotes, or Chinese
    r"(?=\s)",
)
_LOOK_AHEAD = 80  # a break right behind the share is one, too
_LONGEST_FENCE = 12  # what is longer is a drawing
_FENCE = rf"(?m)^[ \t]*(`{{3,{_LONGEST_FENCE}}}(?!`)|~{{3,{_LONGEST_FENCE}}}(?!~))([^\n]*)$"


def estimated_tokens(text: str) -> int:
    """Return a number of tokens that `text` hardly exceeds: one for every three bytes of its UTF-8.

    English has about four characters a token, and Chinese, Japanese and Korean about one token for a character of
    three bytes; so this errs on the safe side, whatever the language and the model.
    """
    return -(-len(text.encode("utf-8", "surrogatepass")) // _BYTES_PER_TOKEN)


def fair_share(needs: Sequence[int], budget: int) -> int | None:
    """Return what each may take at most of a budget that is too small for all needs; None where it is not.

    What the small ones leave of their shares goes to the others; no share is smaller than `LEAST_TOKENS`.
    """
    left = budget
    for place, need in enumerate(sorted(needs)):
        share = max(left // (len(needs) - place), LEAST_TOKENS)
        if need > share:
            return share
        left -= need
    return None


def fit(responses: Mapping[str, str], budget_tokens: int) -> dict[str, str]:
    """Return the responses, those cut that pass their fair share of the budget; the rest are the same strings.

    Short ones stay whole, and what they leave of their shares goes to the others. A cut one ends at the best place that
    keeps half of its share (paragraph, line, sentence, word) and says in a last line how much is missing. No share
    is smaller than `LEAST_TOKENS`, which holds some 200 bytes of text: a budget below that for each is not kept.

    Args:
        responses: Texts by name; their order is kept.
        budget_tokens: What all of them may take, as `estimated_tokens` counts it.
    """
    share = fair_share([estimated_tokens(text) for text in responses.values()], budget_tokens)
    return {
        name: text if share is None or estimated_tokens(text) <= share else _cut(text, share * _BYTES_PER_TOKEN)
        for name, text in responses.items()
    }


def fit_into(
    room: int, responses: Mapping[str, str], messages: Callable[[Mapping[str, str]], Sequence[Message]]
) -> dict[str, str]:
    """Return the responses, cut where the messages made of them would pass `room` tokens."""
    needed = sum(estimated_tokens(message.content) for message in messages(responses))
    if needed <= room:
        return dict(responses)
    return fit(responses, room - (needed - sum(map(estimated_tokens, responses.values()))))


def _cut(text: str, size: int) -> str:
    """Return the beginning of `text` and the line that says so, together of at most `size` bytes."""

    def marked(kept: str, shown: int) -> str:
        return f"{kept}\n\n[cut here: the first {shown:,} of {len(text):,} characters are shown]"

    fenced = any(marks in text[:size] for marks in ("```", "~~~"))
    room = size - len(marked("", len(text))) - (1 + _LONGEST_FENCE if fenced else 0)
    head = _beginning(text, room)
    end = next(filter(None, (_last(pattern, text, len(head)) for pattern in _BREAKS)), len(head))
    kept = text[:end].rstrip()
    fence = _open_fence(kept)
    return marked(f"{kept}\n{fence}" if fence else kept, len(kept))


def _beginning(text: str, size: int) -> str:
    """Return at most `size` bytes of `text`, without half a character at the end."""
    encoded = text[:size].encode("utf-8", "surrogatepass")
    while size < len(encoded) and encoded[size] & 0xC0 == 0x80:
        size -= 1
    head = encoded[:size].decode("utf-8", "surrogatepass")
    split = head[-1:] and "\ud800" <= head[-1] <= "\udbff"  # its other half is behind the cut
    return head[:-1] if split else head


def _last(pattern: str, text: str, most: int) -> int | None:
    """Return where the last match up to `most` ends, if that keeps at least half."""
    ends = (match.end() for match in re.compile(pattern).finditer(text, (most + 1) // 2, most + _LOOK_AHEAD))
    return max((end for end in ends if end <= most), default=None)


def _open_fence(text: str) -> str:
    """Return what closes the code block that `text` ends in; an empty string where it ends in none."""
    fence = ""
    for marks, info in re.findall(_FENCE, text):
        if not fence:
            fence = "" if marks[0] == "`" and "`" in info else marks
        elif marks.startswith(fence) and not info.strip():
            fence = ""
    return fence


# How it is said by OpenAI, Azure, OpenRouter, Anthropic, Bedrock, Gemini, xAI, Groq, Cohere, DashScope, Kimi, MiniMax,
# Together, Copilot, vLLM, SGLang, TGI, llama.cpp, LM Studio and Ollama. Never by a word alone: a refused parameter may
# be called `context_length`, and an answer's limit "too large".
_TOO_LONG = r"""(?ix)
      context[ _-](?:length|window|size)[ _](?:has[ ]been[ ])?(?:exceed|overflow)
    | context_too_large | exceed_context_size
    | exceed(?:s|ed|ing)? [ ] (?:[\w']+[ ]){0,4} context \b
    | maximum [ ] context [ ] (?:length|window|size)
    | (?:greater|longer|larger) [ ] than [ ] (?:the[ ])? (?:model'?s[ ])? (?:maximum[ ])?
        (?:model|context) [ ] (?:length|window|size)
    | \b (?:prompt|input|conversation) [ ] (?:is[ ]|length[ ]|length[ ]is[ ])? too [ ] (?:long|large)
    | messages\[\d+\] .* string [ ] too [ ] long
    | (?:prompt|input) [ ] token [ ] count .{0,40} exceeds
    | too [ ] many [ ] (?:input|prompt) [ ] tokens | tokens [ ] in [ ] the [ ] prompt [ ] cannot [ ] exceed
    | maximum [ ] (?:allowed[ ])? (?:prompt|input) [ ] length [ ] (?:is|of)
    | range [ ] of [ ] input [ ] length
    | reduce [ ] (?:the[ ]length[ ]of[ ](?:the[ ](?:messages|prompt|input)|either)|your[ ]prompt)
    | exceeded [ ] model [ ] token [ ] limit | tokens [ ] in [ ] request [ ] more [ ] than [ ] max
    | `inputs` [ ] (?:tokens[ ]\+|must[ ]have[ ]less[ ]than)
    """


_CONTEXT_NAMED = (
    r"(?:context (?:length|size|window)|n_ctx|maximum(?: number of)?(?: input)? tokens|limit)"
    r"[^0-9]{0,40}(?<![0-9.])([0-9][0-9,]{2,9})(?![0-9km])"
)
_LEAST_CONTEXT, _MOST_CONTEXT = 256, 10**8


def is_too_long(error_text: str, status_code: int | None) -> bool:
    """Say whether a server refused a prompt because it and the answer do not fit into the model's context.

    Args:
        error_text: What the server said.
        status_code: The HTTP status; None for an error inside a success, which its words alone explain.
    """
    if status_code == 413:
        return True
    return status_code in {400, 422, None} and re.search(_TOO_LONG, error_text) is not None


def context_named(error_text: str) -> int | None:
    """Return how many tokens a refusal says that the model can read and write; None where it does not say."""
    found = re.search(_CONTEXT_NAMED, error_text, re.IGNORECASE)
    tokens = int(found[1].replace(",", "")) if found else 0
    return tokens if _LEAST_CONTEXT <= tokens <= _MOST_CONTEXT else None
