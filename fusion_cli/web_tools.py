"""The web tools of a run: who runs them for which model, with what search, and within which limits.

Data and checks; searches and fetches nothing. Parameters that only choose among OpenRouter's own engines are passed
over where a tool is run here: `engine`, `search_context_size`, `user_location`.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from fusion_cli.chat import ServerTool
from fusion_cli.config_file import SEARCH_KEYS
from fusion_cli.errors import ConfigError, CredentialError, UsageError
from fusion_cli.plan import WEB_FETCH, WEB_SEARCH, Plan
from fusion_cli.settings import Web
from fusion_cli.values import describe

NO_SEARCH = "no search is configured (see fusion config set web.search): without OpenRouter, models can only read pages"
_MOST = 2**53


class SearchLimits(NamedTuple):
    """How far one call to a model may search (specification, section 4).

    Attributes:
        max_results: Of one search.
        max_total_results: Of all searches; None is no limit.
        allowed_domains: Unless empty, only results from these and their subdomains.
        excluded_domains: None from these.
    """

    max_results: int | None = None
    max_total_results: int | None = None
    allowed_domains: tuple[str, ...] = ()
    excluded_domains: tuple[str, ...] = ()


class FetchLimits(NamedTuple):
    """What one call to a model may fetch (specification, section 4).

    Attributes:
        max_uses: How many pages; None is no limit of its own.
        max_content_tokens: How much of each.
        allowed_domains: Unless empty, only these and their subdomains.
        blocked_domains: None of these.
    """

    max_uses: int | None = None
    max_content_tokens: int | None = None
    allowed_domains: tuple[str, ...] = ()
    blocked_domains: tuple[str, ...] = ()


def equipped(plan: Plan, tools: Sequence[ServerTool], web: Web, ddgs_installed: Callable[[], bool]) -> Plan:
    """Return the plan with its web tools, and with the search that those run here need.

    Raises:
        UsageError: A parameter of a tool that is run here is not what the specification says.
        ConfigError: The search that is configured cannot be used.
        CredentialError: Its key is not set.
    """
    plan = plan._replace(tools=tuple(tools))
    if not any(plan.runs_tools_of(model) for model in plan.inner_models):
        return plan
    fetch_limits(tools)
    if search_limits(tools) is None:
        return plan
    _demand_search(web, ddgs_installed)
    return plan._replace(search=web.backend)


def warnings(plan: Plan, *, wanted: bool, is_limited: bool) -> tuple[str, ...]:
    """Return what was asked for explicitly of web tools and cannot be had.

    Args:
        plan: As equipped.
        wanted: Whether web tools were asked for.
        is_limited: Whether a number of tool calls was given.
    """
    said = []
    if plan.outer.slug.endswith(":online"):
        said.append(f"{plan.outer.slug} searches the web by itself, as its name says, when it writes the answer")
    have = any(plan.tools_for(model) for model in plan.inner_models)
    run_here = any(plan.runs_tools_of(model) for model in plan.inner_models)
    if wanted and not have and not run_here:
        return (*said, "no model of this run can use web tools: the embedded ones cannot call tools")
    if is_limited and not have:
        return (*said, "a limit of tool calls was given, but no model of this run has web tools")
    if run_here:
        if others := sorted({tool.type for tool in plan.tools} - {WEB_SEARCH, WEB_FETCH}):
            said.append(f"only OpenRouter runs {', '.join(others)}: models of other providers go without")
        if (wanted or not have) and search_limits(plan.tools) and not plan.search:
            said.append(NO_SEARCH)
    return tuple(said)


def _demand_search(web: Web, ddgs_installed: Callable[[], bool]) -> None:
    """Raise what stands in the way of the search that is configured, if one is."""
    if web.backend == "searxng" and not web.searxng_url:
        raise ConfigError(
            "web.search is searxng, but no address is known",
            hint="Set one with: fusion config set web.searxng_url http://127.0.0.1:8888",
        )
    if web.backend in SEARCH_KEYS and web.backend not in web.api_keys:
        raise CredentialError(f"no key for {web.backend}, which web.search names: set {SEARCH_KEYS[web.backend]}")
    if web.backend == "duckduckgo" and not ddgs_installed():
        raise ConfigError(
            "web.search is duckduckgo, but ddgs is not installed", hint="pip install 'fusion-deliberation[ddgs]'"
        )


def search_limits(tools: Sequence[ServerTool]) -> SearchLimits | None:
    """Return the limits of the last search tool among the entries; None where there is none.

    Raises:
        UsageError: A parameter is not what the specification says.
    """
    parameters = _parameters(tools, WEB_SEARCH)
    if parameters is None:
        return None
    return SearchLimits(
        _number(parameters, "max_results", 25),
        _number(parameters, "max_total_results"),
        _domains(parameters, "allowed_domains"),
        _domains(parameters, "excluded_domains"),
    )


def fetch_limits(tools: Sequence[ServerTool]) -> FetchLimits | None:
    """Return the limits of the last fetch tool among the entries; None where there is none.

    Raises:
        UsageError: A parameter is not what the specification says.
    """
    parameters = _parameters(tools, WEB_FETCH)
    if parameters is None:
        return None
    return FetchLimits(
        _number(parameters, "max_uses"),
        _number(parameters, "max_content_tokens"),
        _domains(parameters, "allowed_domains"),
        _domains(parameters, "blocked_domains"),
    )


def _parameters(tools: Sequence[ServerTool], kind: str) -> Mapping[str, Any] | None:
    return next((tool.parameters for tool in reversed(tools) if tool.type == kind), None)


def _number(parameters: Mapping[str, Any], key: str, most: int = _MOST) -> int | None:
    value = parameters.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
        raise UsageError(f"tools: {key}: expected a whole number from 1 to {most}, found {describe(value)}")
    return value


def _domains(parameters: Mapping[str, Any], key: str) -> tuple[str, ...]:
    value = parameters.get(key)
    if value is None:
        return ()
    if not isinstance(value, list | tuple):
        raise UsageError(f"tools: {key}: expected an array of domains, found {describe(value)}")
    for index, entry in enumerate(value):
        if not isinstance(entry, str) or not re.fullmatch(r"[^\s/:@]+", entry):
            raise UsageError(f"tools: {key}[{index}]: expected a domain, like example.org; found {describe(entry)}")
    return tuple(value)
