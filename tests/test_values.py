"""Promises of `values`: what each kind takes, what it makes of that, and the exact words for what it refuses."""

import datetime
from typing import Any

import pytest

from fusion_cli import key_sources, values
from fusion_cli.chat import Reasoning, ServerTool
from fusion_cli.choices import Seat
from fusion_cli.errors import UsageError
from fusion_cli.key_shapes import may_be_secret
from fusion_cli.presets import PRESETS
from fusion_cli.values import Kind

CANARY = "sk-or-v1-canary0123456789"
DAY = datetime.date(1979, 5, 27)
HALF = "a\udcff"
NOT_SHOWN = "(not shown: it looks like a secret)"
SEARCH = "openrouter:web_search"
A_SEAT = f"{values.MODEL.expects} or a table with one as model"
A_TOOL = "a server tool, like openrouter:web_search; never the fusion tool itself"
SEAT_TABLE = "a table of model, system, temperature, label, reasoning, max_completion_tokens"


def nested(depth: int) -> dict[str, Any]:
    """Return tables within one another."""
    value: dict[str, Any] = {}
    for _ in range(depth):
        value = {"a": value}
    return value


def refusal(kind: Kind, value: object) -> str:
    """Return what is said of a value that does not fit at `here`: one clean line that reveals nothing."""
    with pytest.raises(UsageError) as caught:
        kind.fit(value, "here")
    said = str(caught.value)
    assert said.isprintable()
    assert CANARY not in said
    assert len(said) < 300
    return said


@pytest.mark.parametrize(
    ("kind", "value", "made"),
    [
        (values.MODEL, "lab:a/b:free", "lab:a/b:free"),
        (values.MODEL, "x" * 200, "x" * 200),
        (values.URL, "https://h/v1//", "https://h/v1"),
        (values.URL, "http://[::1]:8000/v1", "http://[::1]:8000/v1"),
        (values.SEARCH, "duckduckgo", "duckduckgo"),
        (values.HOSTS, [], ()),
        (values.HOSTS, ["LocalHost:8000", "my_nas.lan:1"], ("localhost:8000", "my_nas.lan:1")),
        (values.HOSTS, ["10.0.0.1:65535", "[::1]:080"], ("10.0.0.1:65535", "[::1]:80")),
        (values.HOSTS, ["[0:0::0:1]:1", "[FD00::A]:1"], ("[::1]:1", "[fd00::a]:1")),
        (values.HOSTS, ["h:1"] * 20, ("h:1",) * 20),
        (values.NAME, "My_lab-2", "My_lab-2"),
        (values.LABEL, "the sceptic \u2116 1", "the sceptic \u2116 1"),
        (values.DESCRIPTION, "x" * 200, "x" * 200),
        (values.TEXT, " a\n\tb ", " a\n\tb "),
        (key_sources.VARIABLE, "LAB_API_KEY", "LAB_API_KEY"),
        (values.TOOL_CHOICE, "none", "none"),
        (values.SWITCH, False, False),
        (values.TOKENS, 2**53, 2**53),
        (values.TOOL_CALLS, 16, 16),
        (values.SEED, 0, 0),
        (values.TEMPERATURE, 2, 2.0),
        (values.EFFORT, "xhigh", "xhigh"),
        (values.REASONING, {"effort": "none"}, Reasoning("none")),
        (values.REASONING, {"max_tokens": 1}, Reasoning(max_tokens=1)),
        (values.PATH, "~/a b.gguf", "~/a b.gguf"),
        (values.PANEL, ["a", "a"], (Seat("a"), Seat("a"))),
        (values.PANEL, ("a",) * 8, (Seat("a"),) * 8),
        (
            values.PANEL,
            [
                {"model": "a", "system": "s\n", "temperature": 0, "label": "l", "reasoning": {"effort": "low"}},
                {"model": "a", "max_completion_tokens": 5, "label": "L"},
            ],
            (Seat("a", "s\n", 0.0, "l", Reasoning("low")), Seat("a", label="L", max_completion_tokens=5)),
        ),
        (
            values.PANEL,
            ["x/y:free", "lab:m1", {"model": "b", "label": "free"}, {"model": "b", "label": "m1"}],
            (Seat("x/y:free"), Seat("lab:m1"), Seat("b", label="free"), Seat("b", label="m1")),
        ),
        (values.TOOLS, [], ()),
        (values.TOOLS, [{"type": SEARCH}], (ServerTool(SEARCH, {}),)),
        (
            values.TOOLS,
            [{"type": SEARCH, "parameters": {"n": 1, "f": 0.5, "s": "x", "b": True, "l": [None, {"k": []}]}}],
            (ServerTool(SEARCH, {"n": 1, "f": 0.5, "s": "x", "b": True, "l": [None, {"k": []}]}),),
        ),
    ],
)
def test_what_fits_is_made_into_what_the_program_wants(kind: Kind, value: object, made: object) -> None:
    """A fitting value comes back as its type, and goes back to the same data as JSON and TOML hold it."""
    fitting = kind.fit(value, "here")
    assert (fitting, type(fitting)) == (made, type(made))
    assert kind.fit(values.as_data(fitting), "here") == made


@pytest.mark.parametrize(
    ("kind", "value", "said"),
    [
        (values.MODEL, "", 'here: expected [provider:]slug (no white space, at most 200 characters), found ""'),
        (values.MODEL, "a b", f'here: expected {values.MODEL.expects}, found "a b"'),
        (values.MODEL, f"{CANARY} ", f"here: expected {values.MODEL.expects}, found {NOT_SHOWN}"),
        (values.MODEL, None, f"here: expected {values.MODEL.expects}, found null"),
        (values.URL, "https://[::1]x/", f"here: expected {values.URL.expects}, found a host or port that is none"),
        (values.URL, 3, "here: expected the address of a server, like https://host/v1, found 3"),
        (values.SEARCH, "bing", 'here: expected one of searxng, brave, tavily, duckduckgo, found "bing"'),
        (values.SEARCH, f"BSA{'ab_1' * 7}", f"here: expected {values.SEARCH.expects}, found {NOT_SHOWN}"),
        (
            values.HOSTS,
            "a:1",
            'here: expected an array of at most 20, each host:port, like localhost:8000, found "a:1"',
        ),
        (values.HOSTS, ["a:1"] * 21, f"here: expected {values.HOSTS.expects}, found 21 of them"),
        (values.HOSTS, ["a:1", 8000], "here[1]: expected host:port, like localhost:8000, found 8000"),
        (values.NAME, "a.b", 'here: expected a name of letters, digits, - and _, found "a.b"'),
        (values.NAME, "a\n", 'here: expected a name of letters, digits, - and _, found "a\\n"'),
        (values.LABEL, "a\nb", 'here: expected a short name in one line, found "a\\nb"'),
        (values.LABEL, " a", 'here: expected a short name in one line, found " a"'),
        (values.LABEL, "", 'here: expected a short name in one line, found ""'),
        (values.LABEL, "x" * 81, "here: expected a short name in one line, found 81 characters"),
        (values.LABEL, "a\u202eb", 'here: expected a short name in one line, found "a\\u202eb"'),
        (values.DESCRIPTION, "a\nb", 'here: expected text in one line of at most 200 characters, found "a\\nb"'),
        (values.TEXT, " \n", 'here: expected text, found " \\n"'),
        (values.TEXT, "a\0", 'here: expected text, found "a\\x00"'),
        (values.TEXT, HALF, "here: expected text, found text that is not Unicode"),
        (values.TEXT, 1, "here: expected text, found 1"),
        (
            key_sources.VARIABLE,
            CANARY,
            f"here: expected {key_sources.VARIABLE.expects}, found something else (not shown)",
        ),
        (values.TOOL_CHOICE, "always", 'here: expected auto, required or none, found "always"'),
        (values.SWITCH, 1, "here: expected true or false, found 1"),
        (values.TOKENS, 0, "here: expected a whole number from 1, found 0"),
        (values.TOKENS, 1.0, "here: expected a whole number from 1, found 1.0"),
        (values.TOKENS, True, "here: expected a whole number from 1, found true"),
        (values.TOOL_CALLS, 17, "here: expected a whole number from 1 to 16, found 17"),
        (values.SEED, -1, "here: expected a whole number from 0, found -1"),
        (values.SEED, 2**53 + 1, "here: expected a whole number from 0, found a huge number"),
        (values.TEMPERATURE, float("nan"), "here: expected a number from 0 to 2, found nan"),
        (values.TEMPERATURE, 10**400, "here: expected a number from 0 to 2, found a huge number"),
        (values.TEMPERATURE, "1", 'here: expected a number from 0 to 2, found "1"'),
        (values.TEMPERATURE, False, "here: expected a number from 0 to 2, found false"),
        (values.EFFORT, "LOW", f'here: expected one of {", ".join(values.EFFORTS)}, found "LOW"'),
        (values.REASONING, {}, "here: expected a table with effort or max_tokens, found an empty table"),
        (values.REASONING, "low", 'here: expected a table with effort or max_tokens, found "low"'),
        (values.REASONING, {"efort": "low"}, 'here: expected a table with effort or max_tokens, found "efort"'),
        (
            values.REASONING,
            {"effort": "low", "max_tokens": 1},
            "here: expected a table with effort or max_tokens, found both",
        ),
        (values.REASONING, {"max_tokens": 0}, "here.max_tokens: expected a whole number from 1, found 0"),
        (values.REASONING, {"effort": None}, f"here.effort: expected {values.EFFORT.expects}, found null"),
        (values.PATH, "own.gguf", f'here: expected {values.PATH.expects}, found "own.gguf"'),
        (values.PANEL, [], f"here: expected an array of 1 to 8, each {A_SEAT}, found 0 of them"),
        (values.PANEL, ["a"] * 9, f"here: expected {values.PANEL.expects}, found 9 of them"),
        (values.PANEL, {"model": "a"}, f"here: expected {values.PANEL.expects}, found a table"),
        (values.PANEL, ["a", 3], f"here[1]: expected {A_SEAT}, found 3"),
        (values.PANEL, [{}], f"here[0].model: expected {values.MODEL.expects}, found nothing"),
        (values.PANEL, [{"model": ""}], f'here[0].model: expected {values.MODEL.expects}, found ""'),
        (values.PANEL, [{"model": "a", "modle": 1}], f'here[0]: expected {SEAT_TABLE}, found "modle"'),
        (values.PANEL, [{"model": "a", CANARY: 1}], f"here[0]: expected {SEAT_TABLE}, found {NOT_SHOWN}"),
        (
            values.PANEL,
            ["a", {"model": "a", "temperature": 3}],
            "here[1].temperature: expected a number from 0 to 2, found 3",
        ),
        (
            values.PANEL,
            [{"model": "a", "reasoning": {"max_tokens": -1}}],
            "here[0].reasoning.max_tokens: expected a whole number from 1, found -1",
        ),
        (
            values.PANEL,
            [{"model": "a", "reasoning": {}}],
            "here[0].reasoning: expected a table with effort or max_tokens, found an empty table",
        ),
        (
            values.PANEL,
            [{"model": "a", "label": "x"}, {"model": "b", "label": "x"}],
            'here: expected a label of its own for each, found two that are called "x"',
        ),
        (values.TOOLS, {}, "here: expected an array of at most 8 server tools, found a table"),
        (values.TOOLS, [{"type": SEARCH}] * 9, "here: expected an array of at most 8 server tools, found 9 of them"),
        (values.TOOLS, [SEARCH], f'here[0]: expected a table of type and parameters, found "{SEARCH}"'),
        (values.TOOLS, [{"type": SEARCH, "x": 1}], 'here[0]: expected a table of type and parameters, found "x"'),
        (values.TOOLS, [{}], f"here[0].type: expected {A_TOOL}, found nothing"),
        (values.TOOLS, [{"type": "openrouter:fusion"}], f'here[0].type: expected {A_TOOL}, found "openrouter:fusion"'),
        (values.TOOLS, [{"type": "function"}], f'here[0].type: expected {A_TOOL}, found "function"'),
        (
            values.TOOLS,
            [{"type": SEARCH, "parameters": []}],
            "here[0].parameters: expected a table, found an array",
        ),
    ],
)
def test_what_does_not_fit_is_told_in_one_line(kind: Kind, value: object, said: str) -> None:
    """A refusal says where, what was expected there, and what was found, without quoting what may be a secret."""
    assert refusal(kind, value) == said


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"since": DAY}, ".since: expected what can be sent as JSON, found a date or a time"),
        ({"l": [1, {"t": datetime.time()}]}, ".l[1].t: expected what can be sent as JSON, found a date or a time"),
        ({"n": float("inf")}, ".n: expected what can be sent as JSON, found inf"),
        ({"s": HALF}, ".s: expected what can be sent as JSON, found text that is not Unicode"),
        ({HALF: 1}, ": expected what can be sent as JSON, found text that is not Unicode"),
        (nested(5000), f"{'.a' * 21}: expected what can be sent as JSON, found deeper nesting"),
    ],
)
def test_a_tools_parameters_are_what_json_can_hold(parameters: dict[Any, Any], said: str) -> None:
    """What TOML and Python know beyond JSON is refused where it stands, before anything is sent."""
    tools = [{"type": SEARCH, "parameters": parameters}]
    assert refusal(values.TOOLS, tools) == f"here[0].parameters{said}"


@pytest.mark.parametrize(
    ("kind", "text", "made"),
    [
        (values.SEED, " 5 ", 5),
        (values.SEED, "007", 7),
        (values.TOOL_CALLS, "16", 16),
        (values.TEMPERATURE, "1e0", 1.0),
        (values.TEMPERATURE, " .5 ", 0.5),
        (values.TEMPERATURE, "-0", 0.0),
        (values.PANEL, "a, b:c", (Seat("a"), Seat("b:c"))),
        (values.HOSTS, "a:1, [::1]:2", ("a:1", "[::1]:2")),
        (values.MODEL, "a/b", "a/b"),
        (values.TEXT, "5", "5"),
        (values.NAME, "5", "5"),
    ],
)
def test_a_flags_text_is_read_as_people_write_it(kind: Kind, text: str, made: object) -> None:
    """Text becomes what the check takes."""
    fitting = kind.fit(kind.read(text), "--x")
    assert (fitting, str(fitting)) == (made, str(made))


@pytest.mark.parametrize(
    ("kind", "text", "found"),
    [
        (values.SEED, "-1", "-1"),
        (values.SEED, "1e3", '"1e3"'),
        (values.SEED, "5.0", '"5.0"'),
        (values.SEED, "1_0", '"1_0"'),
        (values.SEED, "\u0663", '"\u0663"'),
        (values.SEED, "", '""'),
        (values.SEED, "nan", '"nan"'),
        (values.SEED, "9" * 40, "a huge number"),
        (values.SEED, "9" * 9000, "a huge number"),
        (values.TOKENS, "-" + "9" * 9000, "a huge number"),
        (values.TOOL_CALLS, "17", "17"),
        (values.TEMPERATURE, "1e3", "1000.0"),
        (values.TEMPERATURE, " 5 ", "5.0"),
        (values.TEMPERATURE, "-1", "-1.0"),
        (values.TEMPERATURE, "nan", "nan"),
        (values.TEMPERATURE, "9" * 400, "inf"),
        (values.TEMPERATURE, "1_0", '"1_0"'),
        (values.TEMPERATURE, "\u0661", '"\u0661"'),
        (values.TEMPERATURE, "warm", '"warm"'),
    ],
)
def test_a_flags_text_that_is_no_such_value_is_told_so(kind: Kind, text: str, found: str) -> None:
    """Text that does not fit is refused in the same words as a value of the file, and no number is too long to read."""
    assert refusal(kind, kind.read(text)) == f"here: expected {kind.expects}, found {found}"


@pytest.mark.parametrize(("text", "place"), [("", 0), (" ,", 0), ("a,,b", 1), ("a,", 1)])
def test_an_empty_entry_of_a_panel_is_refused(text: str, place: int) -> None:
    """A slip of the comma is told, not passed over: a panel of another size than was meant would meet."""
    assert refusal(values.PANEL, values.PANEL.read(text)) == f'here[{place}]: expected {A_SEAT}, found ""'


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, "null"),
        (True, "true"),
        (2**63, "a huge number"),
        ("x" * 100, f'"{"x" * 57}..."'),
        ("\x1b[2J\u202e", '"\\x1b[2J\\u202e"'),
        (f"Bearer {CANARY}", "(not shown: it looks like a secret)"),
        ((), "an array"),
        ({}, "a table"),
        (DAY, "a date or a time"),
    ],
)
def test_what_was_found_is_described_in_one_clean_line(value: object, said: str) -> None:
    """A description is short and printable, whatever was found."""
    assert values.describe(value) == said


KEYS = (
    CANARY,
    f"sk-or-v1-{'0123456789abcdef' * 4}",
    "sk-proj-aB3_dE5-fG7hI9jK1lM2nO3p",
    "sk-ant-api03-AAAAAAAAAA1-bbbbbbb",
    "sk_live_4eC39HqLyjWDarjtT1zdp7dc",
    "gsk_0123456789abcdefghijABCD",
    "ghp_0123456789abcdefghijABCDEFGHIJ012345",
    "github_pat_11AAAAAAA0abcdefghij_0123456789",
    "AIzaSyD-9tSrke72PouQMnMX-a7eZSW0jkFMBWY",
    "xai-0123456789abcdefghij",
    "tvly-dev-0123456789abcdefghij",
)


@pytest.mark.parametrize("key", KEYS)
def test_a_key_is_no_name(key: str) -> None:
    """What begins like a key is neither a model nor a label nor a description, and is not repeated."""
    refusals = [refusal(values.MODEL, name) for name in (key, f"lab:{key}", f"openrouter:{key}:free", f"Bearer {key}")]
    refusals += [refusal(values.PANEL, ["a", seat]) for seat in (key, {"model": "a", "label": f"of {key}"})]
    for kind in (values.LABEL, values.DESCRIPTION):
        refusals += [refusal(kind, text) for text in (key, f"key: {key}", f"KEY={key} x", f"bearer {key[3:]}")]
    assert [said for said in refusals if not said.endswith(f", found {NOT_SHOWN}")] == []


@pytest.mark.parametrize(
    "name",
    [
        "openai/gpt-5",
        "openai/gpt-4o-2024-11-20",
        "deepseek/deepseek-v3.2",
        "skt/ax-4",
        "sky-t1",
        "NovaSky-AI/Sky-T1-32B-Preview",
        "sk-hynix/x",
        "sk-hynix/large-language-model-20250101",
        "sk-vision-large-2.5-instruct",
        "lab:sk-hynix-research-2026-large",
        "rk-llm-qwen2.5-1.5b-instruct",
        "org/sk-abcdefghijkl0123456789",
        "desk-0123456789abcdefghij",
        "aizawa-0123456789abcdefghij",
    ],
)
def test_a_name_that_begins_alike_is_no_key(name: str) -> None:
    """The names of real models pass, as they are shorter, have a slash, or are words and versions."""
    assert values.fit_model(name) == name
    assert values.LABEL.fit(name, "here") == name


@pytest.mark.parametrize("text", ["a bearer of bad news", "bearer of internationalization", "ask-me anything", "sk-1"])
def test_words_are_no_key(text: str) -> None:
    """A description is text, and the word bearer is one."""
    assert values.DESCRIPTION.fit(text, "here") == text


def test_the_built_in_models_are_no_keys() -> None:
    """Whatever a preset that comes with the tool names can be said in a file, too."""
    for preset in PRESETS.values():
        names = [seat.model for seat in preset.choices.panel or ()] + [preset.choices.judge]
        assert [values.fit_model(name) for name in names] == names


@pytest.mark.parametrize(
    ("text", "is_secret"),
    [
        *[(key, True) for key in KEYS],
        ("a" * 20 + "0123", True),
        ("0123456789abcdef" * 2, True),
        ("Zm9vYmFyYmF6cXV4MTIzNDU2", True),
        ("deep_research_panel_2026_v2", False),
        ("presets.deep_research_panel_2026_v2.judge", False),
        ("my-research-panel-of-2026-for-reviews", False),
        ("panel_2026_" * 5, False),
        ("internationalization_of_everything", False),
        ("max_completion_tokens", False),
        ("BSAab_1-cD2ef_3-gH4ij_5-kL6mn_7", True),
        ("bsa_of_the_years_2025_and_2026", False),
        ("20260101000000000000000000", False),
    ],
)
def test_what_looks_like_a_secret(text: str, is_secret: bool) -> None:
    """A key and a long run of letters and digits do, words and years joined to a name do not."""
    assert may_be_secret(text) is is_secret
