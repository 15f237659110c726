"""What `fusion config` prints of values and presets: compact, clean, and broken to the width that there is.

Resolves names as far as that goes without asking anybody: neither a key nor the engine is needed. Writes nothing.
"""

import textwrap
from collections.abc import Callable
from typing import Any, NamedTuple

from fusion_cli.choices import Seat
from fusion_cli.errors import CredentialError, UsageError
from fusion_cli.plan import label_panel
from fusion_cli.presets import PRESETS, Preset
from fusion_cli.settings import Settings, parse_model, resolve_provider
from fusion_cli.values import as_data, printable

_SHORT = 40  # characters of a text that stands among other values
_LEAST_ROOM = 24  # for a persona behind its seat; with less it gets a line of its own
_NOT_PARAMETERS = ("panel", "judge", "model", "preset", "provider")


class ListedSeat(NamedTuple):
    """One seat of a preset; `label` is what a run calls it, `model` the resolved name."""

    label: str
    model: str
    seat: Seat


class ListedPreset(NamedTuple):
    """One preset as a run would take it.

    Attributes:
        source: "built in" or "config file".
        in_effect: "configured" or "default" for the one that a run without flags takes, else None.
        judge: A resolved name, as is `outer`: `provider:slug`, or the slug alone where no provider is known.
    """

    name: str
    source: str
    in_effect: str | None
    preset: Preset
    panel: tuple[ListedSeat, ...]
    judge: str
    outer: str


def list_presets(
    settings: Settings, engine_installed: Callable[[], bool], memory_is_short: Callable[[], bool]
) -> tuple[ListedPreset, ...]:
    """Return all presets, the built-in ones first.

    Args:
        settings: As loaded.
        engine_installed: Says whether the embedded engine could be started; asked only where that matters.
        memory_is_short: Says whether only the smaller embedded model fits; likewise.
    """
    try:
        provider: str | None = resolve_provider(settings, None, engine_installed)
    except CredentialError:
        provider = None
    taken, why = settings.configured.preset, "configured"
    if taken is None:
        taken, why = _default(settings, provider, memory_is_short), "default"
    sources = {**dict.fromkeys(PRESETS, "built in"), **dict.fromkeys(settings.presets, "config file")}
    listed = []
    for name, preset in {**PRESETS, **settings.presets}.items():
        choices = preset.choices
        seats = choices.panel or ()
        named = [_resolved(seat.model, settings, provider) for seat in seats]
        by_slug = iter(label_panel([slug for seat, (_, slug) in zip(seats, named, strict=True) if seat.label is None]))
        panel = tuple(
            ListedSeat(next(by_slug) if seat.label is None else seat.label, model, seat)
            for seat, (model, _) in zip(seats, named, strict=True)
        )
        judge, _ = _resolved(choices.judge or choices.model or seats[0].model, settings, provider)
        outer, _ = _resolved(choices.model or choices.judge or seats[0].model, settings, provider)
        in_effect = why if name == taken else None
        listed.append(ListedPreset(name, sources[name], in_effect, preset, panel, judge, outer))
    return tuple(listed)


def as_json(listed: ListedPreset) -> dict[str, Any]:
    """Return a preset as a JSON object; of parameters and seats only what is set."""
    seats = [{"label": each.label, "model": each.model, **_set(each.seat, "model", "label")} for each in listed.panel]
    return {
        "name": listed.name,
        "source": listed.source,
        "in_effect": listed.in_effect,
        "description": listed.preset.description,
        "panel": seats,
        "judge": listed.judge,
        "model": listed.outer,
        **_set(listed.preset.choices, *_NOT_PARAMETERS),
    }


def as_text(listed: ListedPreset, width: int) -> str:
    """Return a preset as lines of at most that width; only a name that is longer stands out."""
    notes = {"configured": "in effect", "default": "in effect by default"}
    head = f"{listed.name} ({'; '.join([listed.source, *filter(None, [notes.get(listed.in_effect or '')])])})"
    lines = [*_wrapped(head, width, ""), *_wrapped(printable(listed.preset.description), width, "  ", "")]
    lines += ["  panel:"]
    for each in listed.panel:
        lines += _seat_lines(each, width)
    lines += _wrapped(f"judge: {listed.judge}", width, "  ")
    lines += _wrapped(f"model: {listed.outer}", width, "  ")
    for key, value in _set(listed.preset.choices, *_NOT_PARAMETERS).items():
        lines += _wrapped(f"{key}: {brief(value)}", width, "  ")
    return "\n".join(lines)


def brief(value: Any) -> str:
    """Return a value, as JSON holds it, in one short line that is fit for a terminal."""
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return printable(value)
        case dict() if head := value.get("model") or value.get("type"):
            rest = {key: entry for key, entry in value.items() if key not in ("model", "type")}
            return f"{brief(head)} ({brief(rest)})" if rest else brief(head)
        case dict():
            return ", ".join(f"{printable(str(key))}={_inner(entry)}" for key, entry in value.items())
        case list():
            return (", " if any(isinstance(entry, dict) for entry in value) else ",").join(map(brief, value)) or "none"
        case _:
            return str(value)


def cut(text: str, room: int) -> str:
    """Return a text of any length in one line of at most `room` characters."""
    line = printable(" ".join(text[: room * 8].split()))
    return line if len(line) <= room else line[: room - 3].rstrip() + "..."


def _inner(value: Any) -> str:
    """Return a value that stands within another one."""
    if isinstance(value, dict):
        return f"{{{brief(value)}}}"
    if isinstance(value, list):
        return f"[{brief(value) if value else ''}]"
    if isinstance(value, str) and (" " in value or not value.isprintable()):
        return f'"{cut(value, _SHORT)}"'
    return brief(value)


def _default(settings: Settings, provider: str | None, memory_is_short: Callable[[], bool]) -> str | None:
    """Return the preset of a run that names none, as planning chooses it: by who serves the first model named."""
    configured = settings.configured
    if configured.panel:
        return None
    head, colon, _ = (configured.model or configured.judge or "").partition(":")
    provider = head if colon and head in settings.providers else provider
    if provider == "openrouter":
        return "general-high"
    if provider == "local":
        return "local-small" if memory_is_short() else "local"
    return None


def _resolved(name: str, settings: Settings, provider: str | None) -> tuple[str, str]:
    """Return a model's name with its provider, as far as that is known, and its slug."""
    head, colon, slug = name.partition(":")
    if provider is None and not (colon and head in settings.providers):
        return name, name
    try:
        model = parse_model(name, settings, provider or "")
    except UsageError:  # a provider without a slug: a run refuses it, a list shows it
        return name, slug or name
    if model.is_local and settings.local_model is not None:
        model = model._replace(slug=printable(settings.local_model.stem))
    return str(model), model.slug


def _set(source: Any, *without: str) -> dict[str, Any]:
    """Return what a seat or choices say, as JSON holds it."""
    said = {key: as_data(value) for key, value in source._asdict().items() if value is not None}
    return {key: value for key, value in said.items() if key not in without}


def _seat_lines(each: ListedSeat, width: int) -> list[str]:
    """Return a seat's line: its label where that is not its slug, its model, what is set, its persona cut to fit."""
    words = [each.label] if each.label != each.model.partition(":")[2] and each.label != each.model else []
    said = brief(_set(each.seat, "model", "label", "system"))
    lines = _wrapped("  ".join([*words, each.model, *([said] if said else [])]), width, "    ")
    if each.seat.system is not None:
        room = width - len(lines[-1]) - 4
        if room >= _LEAST_ROOM:
            lines[-1] += f'  "{cut(each.seat.system, room)}"'
        else:
            lines.append(f'      "{cut(each.seat.system, max(width - 8, 8))}"')
    return lines


def _wrapped(text: str, width: int, indent: str, hanging: str = "  ") -> list[str]:
    return textwrap.wrap(
        text,
        width,
        initial_indent=indent,
        subsequent_indent=indent + hanging,
        break_long_words=False,
        break_on_hyphens=False,
    )
