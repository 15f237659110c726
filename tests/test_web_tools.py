"""Promises of `web_tools`: the limits that entries set, who gets which tools, what stands in the way of a search."""

from typing import Any

import pytest

from fusion_cli.chat import ModelName, ServerTool
from fusion_cli.errors import ConfigError, CredentialError, FusionError, UsageError
from fusion_cli.plan import Panelist, Plan, Prompt
from fusion_cli.settings import Web
from fusion_cli.web_tools import NO_SEARCH, FetchLimits, SearchLimits, equipped, fetch_limits, search_limits, warnings
from tests.story.scripted import plan as scripted_plan

SEARCH, FETCH = ServerTool("openrouter:web_search"), ServerTool("openrouter:web_fetch")
CLOCK, *OTHERS = (ServerTool(f"openrouter:{name}") for name in ("datetime", "atlas", "bash", "eval", "zip"))
BOTH = (SEARCH, FETCH)
SEARXNG = Web(searxng_url="http://127.0.0.1:1")
ROUTED, PLAIN, EMBEDDED = ModelName("openrouter", "a/one"), ModelName("lab", "m"), ModelName("local", "qwen")


def plan_of(*panel: ModelName, judge: ModelName | None = None) -> Plan:
    """Return a plan of these panelists; the first one judges unless another is named."""
    return Plan(
        Prompt("q"), tuple(Panelist(str(model), model) for model in panel), judge=judge or panel[0], outer=ROUTED
    )


def with_tools(plan: Plan, *tools: ServerTool, web: Web = Web(), ddgs: bool = True) -> Plan:  # noqa: B008 - immutable
    """Return the plan with these tools, on a machine with this configuration."""
    return equipped(plan, tools, web, lambda: ddgs)


class TestLimits:
    """What the entries say of results, pages and domains."""

    def test_every_parameter_of_a_search(self) -> None:
        """All that can be limited is, and what chooses among OpenRouter's engines is passed over."""
        said = {
            "max_results": 25,
            "max_total_results": 50,
            "allowed_domains": ["a.example", "b.example"],
            "excluded_domains": ["c.example"],
            "engine": "exa",
            "search_context_size": "low",
            "user_location": {"type": "approximate"},
        }
        limits = SearchLimits(25, 50, ("a.example", "b.example"), ("c.example",))
        assert search_limits([ServerTool(SEARCH.type, said)]) == limits

    def test_every_parameter_of_a_fetch(self) -> None:
        """All that can be limited is."""
        said = {
            "max_uses": 3,
            "max_content_tokens": 1_000_000,
            "allowed_domains": ["a.example"],
            "blocked_domains": ["b.example", "c.example"],
            "engine": "native",
        }
        limits = FetchLimits(3, 1_000_000, ("a.example",), ("b.example", "c.example"))
        assert fetch_limits([ServerTool(FETCH.type, said)]) == limits

    def test_an_entry_without_parameters_sets_no_limit(self) -> None:
        """A tool that is there is not a tool that is missing; null is as good as nothing said."""
        nothing = dict.fromkeys(("max_results", "max_total_results", "allowed_domains", "excluded_domains"))
        assert search_limits(BOTH) == search_limits([ServerTool(SEARCH.type, nothing)]) == SearchLimits()
        assert fetch_limits(BOTH) == FetchLimits()

    def test_without_an_entry_there_are_none(self) -> None:
        """Other tools' entries are no search and no fetch."""
        assert search_limits([FETCH, CLOCK]) is None
        assert fetch_limits([SEARCH, CLOCK]) is None

    def test_the_last_entry_counts(self) -> None:
        """Two entries of one tool are not mixed: the later one replaces the earlier one whole."""
        twice = (
            ServerTool(SEARCH.type, {"max_results": 1, "max_total_results": 9}),
            ServerTool(FETCH.type, {"max_uses": 1, "max_content_tokens": 9}),
            ServerTool(SEARCH.type, {"max_results": 2}),
            ServerTool(FETCH.type, {"max_uses": 2}),
        )
        assert search_limits(twice) == SearchLimits(max_results=2)
        assert fetch_limits(twice) == FetchLimits(max_uses=2)

    @pytest.mark.parametrize(
        ("key", "value", "found"),
        [
            ("max_results", 0, "found 0"),
            ("max_results", 26, "found 26"),
            ("max_results", "5", 'found "5"'),
            ("max_results", True, "found true"),
            ("max_total_results", 1.5, "found 1.5"),
            ("max_total_results", 2**60, "found"),
            ("allowed_domains", "a.example", 'found "a.example"'),
            ("excluded_domains", ["a.example", 7], "found 7"),
            ("excluded_domains", [""], 'found ""'),
            ("excluded_domains", ["https://a.example"], 'found "https://a.example"'),
        ],
    )
    def test_a_search_with_a_senseless_parameter(self, key: str, value: Any, found: str) -> None:
        """A usage error names the parameter, and what was found in its place."""
        with pytest.raises(UsageError) as caught:
            search_limits([ServerTool(SEARCH.type, {key: value})])
        assert str(caught.value).startswith(f"tools: {key}")
        assert found in str(caught.value)

    @pytest.mark.parametrize(
        ("key", "value", "found"),
        [
            ("max_uses", -1, "found -1"),
            ("max_uses", [3], "found an array"),
            ("max_content_tokens", False, "found false"),
            ("max_content_tokens", 0, "found 0"),
            ("allowed_domains", {"a.example": 1}, "found a table"),
            ("blocked_domains", [None], "found null"),
        ],
    )
    def test_a_fetch_with_a_senseless_parameter(self, key: str, value: Any, found: str) -> None:
        """A usage error names the parameter, and what was found in its place."""
        with pytest.raises(UsageError) as caught:
            fetch_limits([ServerTool(FETCH.type, {key: value})])
        assert str(caught.value).startswith(f"tools: {key}")
        assert found in str(caught.value)


class TestWhoGetsWhat:
    """Which tools each model has in an equipped plan."""

    def test_without_a_search_plain_servers_models_read(self) -> None:
        """Where no search is configured, fetch alone is run here; OpenRouter runs its own search all the same."""
        plan = with_tools(plan_of(ROUTED, PLAIN), *BOTH)
        assert plan.search is None
        assert (plan.tools_for(PLAIN), plan.tools_for(ROUTED)) == ((FETCH,), BOTH)

    def test_with_a_search_they_have_both(self) -> None:
        """The plan knows what is searched with, and both tools are run here."""
        plan = with_tools(plan_of(PLAIN), *BOTH, web=SEARXNG)
        assert plan.search == "searxng"
        assert plan.tools_for(PLAIN) == BOTH

    def test_other_tools_are_openrouters_alone(self) -> None:
        """An entry that nobody runs here reaches OpenRouter's models word for word, and no others."""
        plan = with_tools(plan_of(ROUTED, PLAIN), CLOCK, *BOTH, web=SEARXNG)
        assert plan.tools_for(ROUTED) == (CLOCK, *BOTH)
        assert plan.tools_for(PLAIN) == BOTH

    def test_embedded_models_have_none(self) -> None:
        """The embedded models cannot call tools, whatever is configured."""
        plan = with_tools(plan_of(EMBEDDED, PLAIN), *BOTH, web=SEARXNG)
        assert plan.tools_for(EMBEDDED) == ()

    @pytest.mark.parametrize("tools", [(FETCH,), (SEARCH,), ()])
    def test_what_was_taken_away_is_away(self, tools: tuple[ServerTool, ...]) -> None:
        """A search that is configured does not bring back a tool that no entry names."""
        plan = with_tools(plan_of(PLAIN), *tools, web=SEARXNG)
        assert plan.tools_for(PLAIN) == tools


UNUSABLE: dict[str, tuple[Web, type[FusionError], str, str]] = {
    "searxng without an address": (
        Web(search="searxng"),
        ConfigError,
        "web.search is searxng, but no address is known",
        "fusion config set web.searxng_url",
    ),
    "brave without a key": (
        Web(search="brave", api_keys={"tavily": "k"}),
        CredentialError,
        "no key for brave, which web.search names: set BRAVE_API_KEY",
        "",
    ),
    "tavily without a key": (
        Web(search="tavily"),
        CredentialError,
        "no key for tavily, which web.search names: set TAVILY_API_KEY",
        "",
    ),
    "duckduckgo without its package": (
        Web(search="duckduckgo"),
        ConfigError,
        "web.search is duckduckgo, but ddgs is not installed",
        "pip install 'fusion-deliberation[ddgs]'",
    ),
}


@pytest.mark.parametrize("case", UNUSABLE)
class TestUnusableSearch:
    """A search that was chosen and cannot be used is an error before it costs, where it would be used."""

    def test_it_is_an_error(self, case: str) -> None:
        """It says what is missing and how to get it; one plain server's model among others is enough."""
        web, kind, said, hint = UNUSABLE[case]
        for plan in (plan_of(PLAIN), plan_of(ROUTED, EMBEDDED, PLAIN), plan_of(ROUTED, judge=PLAIN)):
            with pytest.raises(kind) as caught:
                with_tools(plan, *BOTH, web=web, ddgs=False)
            assert type(caught.value) is kind
            assert str(caught.value) == said
            assert hint in caught.value.hint
            assert bool(hint) == bool(caught.value.hint)

    def test_nobody_needs_it(self, case: str) -> None:
        """OpenRouter's models and the embedded ones do without, and so does a run that searches nothing."""
        web, *_ = UNUSABLE[case]
        assert with_tools(plan_of(ROUTED, EMBEDDED), *BOTH, web=web, ddgs=False).search is None
        assert with_tools(plan_of(PLAIN), FETCH, web=web, ddgs=False).search is None
        assert with_tools(plan_of(PLAIN), web=web, ddgs=False).search is None


@pytest.mark.parametrize(
    ("web", "search"),
    [
        (SEARXNG, "searxng"),
        (Web(api_keys={"tavily": "k"}), "tavily"),
        (Web(search="brave", searxng_url="http://127.0.0.1:1", api_keys={"brave": "k"}), "brave"),
        (Web(search="duckduckgo"), "duckduckgo"),
        (Web(), None),
    ],
)
def test_a_usable_search_is_the_plans(web: Web, search: str | None) -> None:
    """What is configured, or follows from an address or a key, is what the plan searches with."""
    assert with_tools(plan_of(PLAIN), *BOTH, web=web).search == search


def test_parameters_are_checked_where_the_tools_are_run_here() -> None:
    """A senseless parameter is an error for a plain server's models; of OpenRouter's it is OpenRouter's business."""
    for tool in (ServerTool(SEARCH.type, {"max_results": "x"}), ServerTool(FETCH.type, {"max_uses": "x"})):
        with pytest.raises(UsageError, match=r"^tools: max_"):
            with_tools(plan_of(PLAIN), tool)
        assert with_tools(plan_of(ROUTED), tool).tools == (tool,)


NO_TOOLS = "no model of this run can use web tools: the embedded ones cannot call tools"
NO_STEPS = "a limit of tool calls was given, but no model of this run has web tools"


@pytest.mark.parametrize(
    ("plan", "wanted", "is_limited", "said"),
    [
        (with_tools(plan_of(EMBEDDED), *BOTH), True, True, (NO_TOOLS,)),
        (with_tools(plan_of(EMBEDDED), *BOTH), False, True, (NO_STEPS,)),
        (with_tools(plan_of(EMBEDDED), *BOTH), False, False, ()),
        (with_tools(plan_of(PLAIN)), False, True, (NO_STEPS,)),
        (with_tools(plan_of(PLAIN), *BOTH), True, True, (NO_SEARCH,)),
        (with_tools(plan_of(PLAIN), *BOTH), False, True, ()),
        (with_tools(plan_of(PLAIN), SEARCH), True, False, (NO_SEARCH,)),
        (with_tools(plan_of(PLAIN), FETCH), True, False, ()),
        (with_tools(plan_of(PLAIN), *BOTH, web=SEARXNG), True, True, ()),
        (with_tools(plan_of(ROUTED), CLOCK, *BOTH), True, True, ()),
        (
            with_tools(plan_of(ROUTED, PLAIN), CLOCK, *OTHERS, *BOTH),
            True,
            False,
            (
                "only OpenRouter runs openrouter:atlas, openrouter:bash, openrouter:datetime, openrouter:eval, "
                "openrouter:zip: models of other providers go without",
                NO_SEARCH,
            ),
        ),
    ],
)
def test_what_cannot_be_had_is_said(plan: Plan, wanted: bool, is_limited: bool, said: tuple[str, ...]) -> None:
    """Only what was asked for explicitly is missed: what merely holds by default is not."""
    assert warnings(plan, wanted=wanted, is_limited=is_limited) == said


def test_an_outer_model_that_searches_by_its_name_is_told_of() -> None:
    """A slug like `x:online` gives the answer's writer web search of its own, which nothing here can take away."""
    plan = scripted_plan(outer="x:online")
    assert "searches the web by itself" in warnings(plan, wanted=False, is_limited=False)[0]
    assert warnings(scripted_plan(outer="x"), wanted=False, is_limited=False) == ()
