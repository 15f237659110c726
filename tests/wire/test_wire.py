"""Promises of `api.wire`: how chunks become a completion, and what an error means."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from fusion_cli.api import wire
from fusion_cli.chat import Citation, Completion, Delta, ToolCall, Usage
from fusion_cli.errors import ServerFailedError


def chunk(delta: object = None, finish_reason: object = None, **others: Any) -> dict[str, Any]:
    """Return a chunk as a server sends it."""
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}], **others}


def assembled(*events: Any) -> tuple[Completion, list[Delta], wire.Assembly]:
    """Return what becomes of these events (bytes as they are, all else as JSON), each a read of its own."""
    assembly = wire.Assembly()
    deltas: list[Delta] = []
    for event in events:
        assembly.read([event if isinstance(event, bytes) else json.dumps(event).encode()], deltas.append)
    return assembly.completion(1), deltas, assembly


def each(make: Callable[[Any], Any], *values: Any) -> list[Any]:
    """Return an event for each value."""
    return [make(value) for value in values]


def calls(*fragments: Any) -> tuple[ToolCall, ...]:
    """Return the tool calls that these fragments make, each in a chunk of its own."""
    return assembled(*(chunk({"tool_calls": [fragment]}) for fragment in fragments))[0].tool_calls


class TestText:
    """Text and thinking, put together from chunks."""

    def test_text_and_thinking_are_kept_apart(self) -> None:
        """Both reach the screen, each in its half of the delta; only text is the answer."""
        completion, deltas, _ = assembled(
            chunk({"role": "assistant", "content": ""}),
            chunk({"reasoning": "Hm."}),
            chunk({"reasoning_content": "Hm?"}),
            chunk({"content": "Yes"}),
            chunk({"content": "!"}, "stop", model="openai/gpt-5-2026"),
            b"[DONE]",
        )
        assert deltas == [Delta("", "Hm."), Delta("", "Hm?"), Delta("Yes"), Delta("!")]
        assert (completion.text, completion.finish_reason, completion.model) == ("Yes!", "stop", "openai/gpt-5-2026")

    def test_one_read_is_one_delta(self) -> None:
        """However many events a packet brings, the screen is told once."""
        deltas: list[Delta] = []
        events = [json.dumps(chunk({"content": letter})).encode() for letter in "abc"]
        wire.Assembly().read(events, deltas.append)
        assert deltas == [Delta("abc")]

    @pytest.mark.parametrize(
        "event",
        [
            *each(lambda value: {"choices": value}, None, [], {}, [None], ["x"], [[]], 7),
            *each(chunk, None, [], "x", {"content": None}, {"content": 7}, {"content": ["x"]}, {"reasoning": 7}),
            *each(lambda value: chunk({"tool_calls": value}), None, 7, {}, [None, 7, "x", []]),
            *each(lambda value: {"error": value}, None, "", {}),
            *each(lambda value: {"usage": value, "model": value}, None, 7, [1]),
            chunk({}, {"unhashable": []}),
            {"x_future": {"data": "[DONE]"}},
            {},
        ],
        ids=json.dumps,
    )
    def test_what_is_null_or_unheard_of_says_nothing(self, event: Any) -> None:
        """A chunk of any odd shape leaves the answer as it is."""
        completion, deltas, assembly = assembled(chunk({"content": "a"}), event, chunk({"content": "b"}, "stop"))
        assert (completion.text, completion.finish_reason, completion.tool_calls) == ("ab", "stop", ())
        assert completion.usage == Usage()
        assert (len(deltas), assembly.skipped) == (2, 0)

    @pytest.mark.parametrize(
        "event", [b"", b"{", b"x", b"7", b"null", b"[]", b'"x"', b"[" * 100_000, b'{"a":' * 100_000, b"9" * 5000]
    )
    def test_an_event_that_is_no_chunk_is_skipped_and_counted(self, event: bytes) -> None:
        """One broken event costs itself, not the answer."""
        completion, _, assembly = assembled(chunk({"content": "a"}), event, chunk({"content": "b"}))
        assert (completion.text, assembly.skipped) == ("ab", 1)

    def test_bytes_that_are_no_utf8_become_replacement_characters(self) -> None:
        """Invalid UTF-8 is U+FFFD, and the text around it stays."""
        event = b'{"choices": [{"delta": {"content": "caf\xe9 ok \xed\xa0\xbd!"}}]}'
        assert assembled(event)[0].text == "caf\ufffd ok \ufffd\ufffd\ufffd!"

    @pytest.mark.parametrize(
        ("spelled", "text"),
        [
            (r"\ud83d", "\ufffd"),
            (r"a\uD83Db", "a\ufffdb"),
            (r"a\udc4db", "a\ufffdb"),
            (r"\ud83d\udc4d", "👍"),
            (r"\uD83D\uDC4D\ud83d", "👍\ufffd"),
            (r"\ufeffa\ud83d", "\ufeffa\ufffd"),
        ],
    )
    def test_half_a_character_never_leaves_the_wire(self, spelled: str, text: str) -> None:
        """JSON can spell a lone surrogate, which no stream could be given; a whole pair is its character."""
        event = f'{{"choices": [{{"delta": {{"content": "{spelled}", "reasoning": "{spelled}"}}}}]}}'.encode()
        completion, deltas, _ = assembled(event)
        assert (completion.text, deltas) == (text, [Delta(text, text)])

    def test_what_follows_done_is_not_read(self) -> None:
        """`[DONE]` is the end, in the same read and in later ones."""
        late = json.dumps(chunk({"content": "late"})).encode()
        assembly = wire.Assembly()
        deltas: list[Delta] = []
        assembly.read([b"[DONE]", late], deltas.append)
        assembly.read([late], deltas.append)
        assert (assembly.text, deltas, assembly.ended) == ("", [], True)

    def test_an_endless_answer_is_cut(self) -> None:
        """At the cap the text ends, exactly, and the completion says that it was cut."""
        piece = "x" * 700_000
        completion, deltas, assembly = assembled(*[chunk({"content": piece})] * 5, chunk({}, "stop"))
        assert len(completion.text) == wire.MAX_TEXT_BYTES == sum(len(delta.text) for delta in deltas)
        assert assembly.full
        assert completion.truncated


class TestToolCalls:
    """Tool calls, put together from fragments."""

    def test_fragments_are_joined_by_index(self) -> None:
        """Two interleaved calls come apart again, in the order of their indexes."""
        assert calls(
            {"index": 1, "id": "b", "function": {"name": "other", "arguments": ""}},
            {"index": 0, "id": "a", "function": {"name": "fusion", "arguments": '{"p'}},
            {"index": 1, "function": {"arguments": "{"}},
            {"index": 0, "function": {"arguments": 'rompt": 1}'}},
            {"index": 1, "function": {"arguments": "}"}},
        ) == (ToolCall("a", "fusion", '{"prompt": 1}'), ToolCall("b", "other", "{}"))

    def test_without_an_index_an_id_begins_a_call(self) -> None:
        """Some servers leave the index out: what has no id goes on with the last call."""
        assert calls(
            {"id": "a", "function": {"name": "fusion", "arguments": "{"}},
            {"function": {"arguments": "}"}},
            {"index": None, "id": "b", "function": {"name": "other", "arguments": "[]"}},
        ) == (ToolCall("a", "fusion", "{}"), ToolCall("b", "other", "[]"))

    def test_without_an_id_a_call_gets_one(self) -> None:
        """The result must be able to name its call; two calls never share a name."""
        made = calls({"index": 0, "function": {"name": "a"}}, {"index": 1, "function": {"name": "b"}})
        assert len({call.id for call in made} - {""}) == 2

    def test_a_repeated_name_or_id_is_not_doubled(self) -> None:
        """Some servers send both with every fragment."""
        fragment = {"index": 0, "id": "a", "function": {"name": "fusion", "arguments": "1"}}
        assert calls(fragment, fragment) == (ToolCall("a", "fusion", "11"),)

    @pytest.mark.parametrize("function", [None, 7, [], {}, {"name": None, "arguments": None}, {"arguments": {"a": 1}}])
    def test_a_broken_function_is_an_empty_call(self, function: object) -> None:
        """A fragment of any shape raises nothing; the pipeline refuses such a call."""
        (call,) = calls({"index": 0, "id": "a", "function": function})
        assert (call.id, call.name) == ("a", "")

    def test_endless_calls_are_cut(self) -> None:
        """A hostile server cannot fill memory or time with calls: 20,000 in one event leave a few, quickly."""
        fragments = [*({"index": at} for at in range(10_000)), *[{"function": {"arguments": "x"}}] * 10_000]
        assert len(assembled(chunk({"tool_calls": fragments}))[0].tool_calls) <= 128


def page(url: object, **others: Any) -> dict[str, Any]:
    """Return an annotation that names a page, as OpenRouter sends it."""
    return {"type": "url_citation", "url_citation": {"url": url, **others}}


def cited(*annotations: Any) -> tuple[Citation, ...]:
    """Return what is cited by a stream with these annotations, all in one delta."""
    return assembled(chunk({"content": "a", "annotations": list(annotations)}), chunk({}, "stop"))[0].citations


class TestCitations:
    """The pages that a model says it used."""

    def test_each_page_is_named_once_in_order(self) -> None:
        """Over all deltas, a URL counts where it came first, under the title that it had there."""
        completion, _, _ = assembled(
            chunk({"content": "a", "annotations": [page("https://b.test/x", title="B", start_index=0, end_index=1)]}),
            chunk({"annotations": [page("https://a.test", title="A"), page("https://b.test/x", title="again")]}),
            chunk({"annotations": [{"type": "url_citation", "url": "HTTP://c.test/?q=1#top", "title": "C"}]}, "stop"),
        )
        assert completion.citations == (
            Citation("https://b.test/x", "B"),
            Citation("https://a.test", "A"),
            Citation("HTTP://c.test/?q=1#top", "C"),
        )

    def test_a_whole_body_cites_like_a_stream(self) -> None:
        """The message of a completion that came as one body has the same annotations."""
        body = {"choices": [{"message": {"content": "Yes", "annotations": [page("https://a.test", title="A")]}}]}
        completion, _, _ = assembled(*wire.whole_body_as_event(json.dumps(body).encode()))
        assert completion.citations == (Citation("https://a.test", "A"),)

    @pytest.mark.parametrize("title", [None, 7, [], "", " \n", "\x1b[2J"])
    def test_without_a_title_the_url_stands_for_it(self, title: object) -> None:
        """A citation always has a line to show."""
        assert cited(page("https://a.test", title=title), page("https://b.test")) == (
            Citation("https://a.test", "https://a.test"),
            Citation("https://b.test", "https://b.test"),
        )

    @pytest.mark.parametrize(
        "annotation",
        [
            *(None, 7, "https://a.test", [], {}, {"type": "url_citation"}, {"type": ["url_citation"]}),
            *each(lambda value: {"type": "url_citation", "url_citation": value}, None, 7, [], "https://a.test", {}),
            {"type": "file", "url_citation": {"url": "https://a.test"}},
            *each(page, None, 7, [], "", "a.test", "https://", "//a.test", "javascript:alert(1)", "file:///etc/passwd"),
            *each(page, "data:text/html,<p>", "\x1b]8;;https://a.test\x07", "https://a.test/" + "x" * 2000),
            page("https://a.test/" + "\u202e" * 1900),
        ],
        ids=lambda value: str(value)[:60],
    )
    def test_what_names_no_page_is_passed_over(self, annotation: Any) -> None:
        """Junk among the annotations costs itself alone."""
        assert cited(annotation, page("https://ok.test", title="OK")) == (Citation("https://ok.test", "OK"),)

    @pytest.mark.parametrize("annotations", [None, 7, {}, "x", {"url": "https://a.test"}])
    def test_annotations_of_another_shape_say_nothing(self, annotations: Any) -> None:
        """What is no list of annotations leaves the answer as it is."""
        completion, _, _ = assembled(chunk({"content": "a", "annotations": annotations}))
        assert (completion.text, completion.citations) == ("a", ())

    def test_both_halves_are_one_clean_line(self) -> None:
        """Escape codes, line breaks and direction controls never reach the screen."""
        hostile = "\x1b]0;t\x07a\nb\x9b31m\u202e\ud800" + "x" * 100_000
        (found,) = cited(
            page("https://a.test/\x1b[31m\nq\u202e", title=hostile), page("https://a.test/", title=hostile)
        )
        assert found.url == "https://a.test/"
        assert found.title.startswith("a b<U+202E>\ufffdx")
        assert found.title.isprintable()
        assert len(found.title) <= 200

    def test_endless_citations_are_cut(self) -> None:
        """The first 200 pages are kept, however many are named."""
        found = cited(*(page(f"https://a.test/{at}") for at in range(20_000)))
        assert [citation.url for citation in found] == [f"https://a.test/{at}" for at in range(200)]


class TestUsage:
    """Figures."""

    def test_a_usage_chunk_has_no_choices(self) -> None:
        """The last chunk brings the figures, every one under its name."""
        usage = {
            "prompt_tokens": 10,
            "completion_tokens": 5,
            "total_tokens": 15,
            "cost": 0.25,
            "prompt_tokens_details": {"cached_tokens": 4},
            "completion_tokens_details": {"reasoning_tokens": 3},
        }
        assert assembled({"choices": [], "usage": usage})[0].usage == Usage(10, 5, 15, 3, 4, 0.25)

    def test_unknown_is_not_zero(self) -> None:
        """A missing figure is None; a zero is a zero."""
        assert assembled(chunk({"content": "a"}, "stop"))[0].usage == Usage()
        assert wire.usage({"cost": 0, "prompt_tokens": 0}) == Usage(prompt_tokens=0, cost=0)

    @pytest.mark.parametrize(
        "value",
        [None, True, "1", -1, [], {}, float("nan"), float("inf"), -float("inf"), 10**400, -(10**400)],
        ids=lambda value: repr(value)[:8],
    )
    def test_a_figure_that_is_none_is_unknown(self, value: Any) -> None:
        """No server can make the sums, or the line that shows them, fail."""
        figures = dict.fromkeys(("prompt_tokens", "completion_tokens", "total_tokens", "cost"), value)
        details = {"prompt_tokens_details": {"cached_tokens": value}, "completion_tokens_details": value}
        assert wire.usage({**figures, **details}) == Usage()


def test_a_whole_body_is_read_like_a_stream() -> None:
    """A completion in one JSON body, after white space, is text, tool calls, finish reason and figures."""
    call = {"id": "a", "function": {"name": "fusion", "arguments": "{}"}}
    body = {"choices": [{"message": {"content": "Yes", "tool_calls": [call]}}], "usage": {"cost": 1}, "model": "m"}
    completion, _, assembly = assembled(*wire.whole_body_as_event(b" \n" * 500 + json.dumps(body).encode()))
    assert completion == Completion("Yes", "stop", Usage(cost=1), (ToolCall("a", "fusion", "{}"),), "m")
    assert assembly.ended


@pytest.mark.parametrize(
    "body", [b"", b"{", b"null", b"[]", b"{}", b'{"choices": []}', b'{"choices": [7]}', b"[" * 100_000, b"\xff\x1b[31m"]
)
def test_a_whole_body_that_is_no_completion_is_a_failure(body: bytes) -> None:
    """Never an empty success; the line says what came, cleanly, and the hint where to look."""
    with pytest.raises(ServerFailedError, match=r"not a chat completion: \S") as caught:
        wire.whole_body_as_event(body)
    assert str(caught.value).isprintable()
    assert "base_url" in caught.value.hint
