"""Examines whether a run could start, for `fusion config doctor`: machine, configuration, keys and servers.

Decides what a default run needs and asks its servers through a function that it is handed; `checkup` looks at the
machine. Never shows a key, and nothing is changed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from fusion_cli import __version__, checkup
from fusion_cli.checkup import Finding, problem
from fusion_cli.choices import Choices
from fusion_cli.counts import count
from fusion_cli.delivery import seat_name
from fusion_cli.errors import CredentialError, FusionError, NoCreditsError, UnreachableError
from fusion_cli.keys import obtain_key
from fusion_cli.paragraphs import in_lines
from fusion_cli.plan import Prompt
from fusion_cli.planning import make_plan
from fusion_cli.settings import resolve_provider
from fusion_cli.terminal import one_line
from fusion_cli.values import printable, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from fusion_cli.api.probe import Sounding
    from fusion_cli.naming import Machine
    from fusion_cli.plan import Plan
    from fusion_cli.providers import Provider
    from fusion_cli.settings import Settings

    SoundOut = Callable[[Provider, str | None], Sounding]

_SLOW_S = 5.0


class Surroundings(NamedTuple):
    """What a check needs of the process.

    Attributes:
        read_settings: Reads environment and config file.
        machine: What this machine can do.
        sound_out: Asks a provider with a key whether it is there; None for "offline": nobody is asked.
        terminal: What was found of the terminal.
        tell: Told what a slow command for a key is waited for; None where nobody watches.
    """

    read_settings: Callable[[], Settings]
    machine: Machine
    sound_out: SoundOut | None
    terminal: Finding
    tell: Callable[[str], None] | None = None


def examine(surroundings: Surroundings) -> Iterator[Finding]:
    """Yield the findings, each as soon as it is known; the last one is what a run would ask, or why none can start."""
    machine = surroundings.machine
    yield checkup.python()
    yield surroundings.terminal
    try:
        settings = surroundings.read_settings()
    except FusionError as error:
        yield problem("config", error)
        short = machine.memory_is_short()
        yield checkup.engine(installed=machine.engine_installed(), is_needed=False, memory_is_short=short)
        yield problem("run", error)
        return
    yield checkup.config(settings)
    plan, refusal = _plan(settings, machine)
    asked = {model.provider for model in plan.models} if plan else _default_providers(settings, machine)
    for provider in settings.providers.values():
        if not provider.is_local:
            yield from _provider(provider, settings, surroundings, plan, is_needed=provider.name in asked)
    try:
        yield from _embedded(settings, machine, plan, is_needed="local" in asked)
        servers = (provider.base_url for provider in settings.providers.values() if not provider.is_local)
        yield from checkup.catalogues(settings.cache_dir, servers)
        yield checkup.data_folder(settings.runs_dir, is_kept=settings.save is not False)
    except FusionError as error:  # no home folder is known, which a run needs, too
        yield problem("data", error)
        plan, refusal = None, error
    if plan:
        yield Finding("run", "ok", _who(plan))
    elif refusal:
        yield problem("run", refusal)


def as_json(findings: Iterable[Finding]) -> dict[str, Any]:
    """Return the findings as one object.

    `ready` says whether a run could start. Each of `checks` has `check`, `about` (a provider, model or server, or
    null), `verdict` ("ok", "warning" or "problem"), `detail`, `next_step` (or null) and `took_s` (a server's answer in
    seconds, or null).
    """
    checks = [
        {
            "check": each.check,
            "about": each.about,
            "verdict": each.verdict,
            "detail": each.detail,
            "next_step": each.next_step or None,
            "took_s": None if each.took_s is None else round(each.took_s, 3),
        }
        for each in findings
    ]
    ready = all(each["verdict"] != "problem" for each in checks)
    return {"version": __version__, "ready": ready, "checks": checks}


def as_text(finding: Finding, width: int) -> str:
    """Return a finding as lines of at most that width; only a word that is longer stands out."""
    about = f"{finding.about}: " if finding.about else ""
    took = "" if finding.took_s is None else f" ({finding.took_s:.1f} s)"
    width, below = max(width, 40), " " * 20
    lines = in_lines(f"{finding.verdict:8} {finding.check:10} {about}{finding.detail}{took}", width, further=below)
    if finding.next_step:
        lines += in_lines(f"-> {finding.next_step}", width, below, f"{below}   ")
    return "\n".join(lines)


def conclude(findings: Iterable[Finding]) -> None:
    """Raise what a run would end with; return when one could start.

    Raises:
        FusionError: There was a problem; the status is that of the first one.
    """
    for each in findings:
        if each.verdict == "problem":
            about = f"{each.about}: " if each.about else ""
            raise each.kind(f"no run could start: {about}{each.detail}", hint=each.next_step)


def _plan(settings: Settings, machine: Machine) -> tuple[Plan | None, FusionError | None]:
    """Return the plan of a run without flags, or why there is none; no key is opened for that, nor command run."""
    closed = {
        name: provider._replace(api_key="closed", api_key_file=None, api_key_command=None)
        if provider.has_key
        else provider
        for name, provider in settings.providers.items()
    }
    try:
        return make_plan(Choices(), settings._replace(providers=closed), Prompt("?"), machine), None
    except FusionError as error:
        return None, error


def _default_providers(settings: Settings, machine: Machine) -> set[str]:
    """Return whom a run would ask as far as that can be told where there is no plan."""
    try:
        return {resolve_provider(settings, None, machine.engine_installed)}
    except FusionError:
        return {"openrouter"}


def _provider(
    provider: Provider, settings: Settings, around: Surroundings, plan: Plan | None, *, is_needed: bool
) -> Iterator[Finding]:
    """Yield what is to be said of a provider's key, and of its server; what is not needed is no problem."""
    if not is_needed and provider.is_openrouter and not provider.has_key:
        yield Finding("key", "ok", "not set, and not needed", about=provider.name)
        return
    for finding in _key_and_server(provider, settings, around, plan, is_needed=is_needed):
        if finding.verdict == "problem" and not is_needed:
            yield finding._replace(verdict="warning")
        else:
            yield finding


def _key_and_server(
    provider: Provider, settings: Settings, around: Surroundings, plan: Plan | None, *, is_needed: bool
) -> Iterator[Finding]:
    name, sound_out = printable(provider.name), around.sound_out
    source = settings.sources.get(f"providers.{provider.name}.api_key", "")
    if provider.api_key_env and not provider.has_key:
        yield Finding("key", "problem", "not set", provider.key_hint, name, kind=CredentialError)
        if sound_out:
            yield _server(provider, sound_out(provider, None), plan)
        return
    is_command = not provider.api_key and not provider.api_key_file and bool(provider.api_key_command)
    if is_command and not is_needed:
        yield Finding("key", "ok", "a command, not run: a run without flags does not need it", about=name)
        return
    try:
        key = obtain_key(provider, around.tell)
    except FusionError as error:
        yield problem("key", error, name)
        return
    said = f"set ({source})" if key else "none, and none is configured"
    if sound_out is None:
        yield Finding("key", "ok", f"{said}{', not tried' if key else ''}", about=name)
        return
    sounding = sound_out(provider, key)
    yield (
        _judged_key(provider, said, sounding) if key or sounding.is_refused else Finding("key", "ok", said, about=name)
    )
    yield _server(provider, sounding, plan)


def _judged_key(provider: Provider, said: str, sounding: Sounding) -> Finding:
    name = printable(provider.name)
    if sounding.is_refused:
        detail = f"{said}, and refused (HTTP {sounding.status})"
        return Finding("key", "problem", detail, provider.key_hint, name, kind=CredentialError)
    if not sounding.is_accepted:
        return Finding("key", "ok", f"{said}, not tried", about=name)
    if sounding.left is not None and sounding.left <= 0:
        step = "Raise the key's limit, or take another key: https://openrouter.ai/keys"
        return Finding("key", "problem", f"{said}, and used up", step, name, kind=NoCreditsError)
    left = "" if sounding.left is None else f", ${sounding.left:.2f} left"
    # Many servers list their models to everybody, so only OpenRouter's answer says that the key is a good one.
    taken = f"accepted{left}" if provider.is_openrouter else "not refused"
    return Finding("key", "ok", f"{said}, {taken}", about=name)


def _server(provider: Provider, sounding: Sounding, plan: Plan | None) -> Finding:
    """Judge whether the server is there, and serves the models that a run asks it for."""
    name, url = printable(provider.name), printable(provider.base_url)
    if sounding.status is None:
        step = f"Is it running, and its address right? fusion config get providers.{name}.base_url"
        return Finding("provider", "problem", f"{url}: {sounding.trouble}", step, name, kind=UnreachableError)
    if sounding.status >= 500:
        detail = f"{url} answers with HTTP {sounding.status}"
        return Finding("provider", "problem", detail, "Try again later.", name, kind=UnreachableError)
    took_s = sounding.took_s
    if not (sounding.is_accepted or sounding.is_refused):
        detail = f"{url} answers, but with HTTP {sounding.status} where it should tell of itself"
        step = "" if sounding.status in (402, 429) else "Does its address end as it should, in /v1?"
        return Finding("provider", "warning", detail, step, name, took_s)
    wanted = {model.slug for model in plan.models if model.provider == provider.name} if plan else set()
    lacking = sorted(wanted - set(sounding.models)) if sounding.models else []
    if lacking:
        detail = f"{url} does not list {', '.join(map(shown, lacking[:3]))}"
        served = ", ".join(one_line(slug, 60) for slug in sounding.models[:3])
        return Finding("provider", "warning", detail, f"It lists: {served}", name, took_s)
    if took_s > _SLOW_S:
        return Finding("provider", "warning", f"{url} answers slowly", "", name, took_s)
    listed = f", lists {count(len(sounding.models), 'model')}" if sounding.models else ""
    return Finding("provider", "ok", f"{url} answers{listed}", about=name, took_s=took_s)


def _embedded(settings: Settings, machine: Machine, plan: Plan | None, *, is_needed: bool) -> Iterator[Finding]:
    from fusion_cli.local.weights import WEIGHTS

    installed = machine.engine_installed()
    short = machine.memory_is_short()
    yield checkup.engine(installed=installed, is_needed=is_needed, memory_is_short=short)
    if settings.local_model is not None:
        own = checkup.own_weights(settings.local_model)
        yield own if is_needed or own.verdict == "ok" else own._replace(verdict="warning")
        return
    wanted = {model.slug for model in plan.models if model.is_local} if plan else set()
    for known in WEIGHTS.values():
        finding = checkup.weights(known, settings.models_dir, is_needed=installed and known.name in wanted)
        if finding:
            yield finding


def _who(plan: Plan) -> str:
    panel = ", ".join(map(seat_name, plan.panel))
    asked = f"panel {panel}; judge {plan.judge.shown}; " if plan.tool_choice != "none" else ""
    return one_line(f"{asked}answer {plan.outer.shown}", 600)
