"""What `fusion config` prints of values and presets: compact, clean, and broken to the width that there is.

Resolves names as far as that goes without asking anybody: neither a key nor the engine is needed. Writes nothing.
"""

import re
from typing import Any, NamedTuple

from fusion_cli.choices import Seat
from fusion_cli.errors import CredentialError, UsageError
from fusion_cli.naming import Machine, Names
from fusion_cli.paragraphs import in_lines
from fusion_cli.plan import label_seats
from fusion_cli.planning import preset_in_effect, roles_of
from fusion_cli.presets import PRESETS, Preset
from fusion_cli.settings import Settings
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
    """One preset, with whom a run asks that names it by a flag and names nobody else.

    Attributes:
        source: "built in" or "config file".
        judge: A resolved name, as is `outer`: `provider:slug`, or as it was given where no provider is known.
        in_effect: "configured" or "default" for the one that a run without flags takes, else None.
        overridden: What of that one the configuration has another value for: panel, judge, model, or a parameter.
    """

    name: str
    source: str
    preset: Preset
    panel: tuple[ListedSeat, ...]
    judge: str
    outer: str
    in_effect: str | None = None
    overridden: tuple[str, ...] = ()


def list_presets(settings: Settings, machine: Machine) -> tuple[ListedPreset, ...]:
    """Return all presets, the built-in ones first; the machine is asked only where that matters."""
    taken = preset_in_effect(settings, machine)
    names = Names(settings, machine, None)
    sources = {**dict.fromkeys(PRESETS, "built in"), **dict.fromkeys(settings.presets, "config file")}
    listed = []
    for name, preset in {**PRESETS, **settings.presets}.items():
        seats, judge, outer = roles_of(preset.choices)
        named = [_resolved(seat.model, names) for seat in seats]
        labels = label_seats([seat.label for seat in seats], [slug for _, slug in named])
        panel = tuple(
            ListedSeat(label, model, seat) for label, (model, _), seat in zip(labels, named, seats, strict=True)
        )
        one = ListedPreset(
            name, sources[name], preset, panel, _resolved(judge or "", names)[0], _resolved(outer or "", names)[0]
        )
        if taken is not None and name == taken.name:
            why = "configured" if taken.is_configured else "default"
            one = one._replace(in_effect=why, overridden=taken.overridden)
        listed.append(one)
    return tuple(listed)


def as_json(listed: ListedPreset) -> dict[str, Any]:
    """Return a preset as a JSON object; of parameters and seats only what is set."""
    seats = [{"label": each.label, "model": each.model, **_set(each.seat, "model", "label")} for each in listed.panel]
    return {
        "name": listed.name,
        "source": listed.source,
        "in_effect": listed.in_effect,
        "overridden": list(listed.overridden),
        "description": listed.preset.description,
        "panel": seats,
        "judge": listed.judge,
        "model": listed.outer,
        **_set(listed.preset.choices, *_NOT_PARAMETERS),
    }


def as_text(listed: ListedPreset, width: int) -> str:
    """Return a preset as lines of at most that width; only a name that is longer stands out."""
    lines = _wrapped(f"{listed.name} ({listed.source}{_effect(listed)})", width, "")
    lines += [*_wrapped(printable(listed.preset.description), width, "  ", ""), "  panel:"]
    for each in listed.panel:
        lines += _seat_lines(each, width)
    lines += _wrapped(f"judge: {listed.judge}", width, "  ")
    lines += _wrapped(f"model: {listed.outer}", width, "  ")
    for key, value in _set(listed.preset.choices, *_NOT_PARAMETERS).items():
        lines += _wrapped(f"{key}: {brief(value)}", width, "  ")
    return "\n".join(lines)


def entry_lines(key: str, said: str, column: int, width: int | None) -> list[str]:
    """Return a key and what is said of it, in lines of at most that width; None is one line of any.

    Args:
        key: The key.
        said: Its value and its source.
        column: How many characters the keys take.
        width: Of the screen.
    """
    if width is None or len(said) <= width - column - 2:
        return [f"{key:{column}}  {said}"]
    if width - column - 2 < _LEAST_ROOM and len(key) + 2 + len(said) <= width:
        return [f"{key}  {said}"]
    said = re.sub(r",(?=\S)", ", ", said)  # so that a list can be broken
    if width - column - 2 >= _LEAST_ROOM:
        first, *rest = _wrapped(said, width - column - 2, "", "")
        return [f"{key:{column}}  {first}", *(" " * (column + 2) + line for line in rest)]
    return [key, *_wrapped(said, width, "  ", "")]


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


def _effect(listed: ListedPreset) -> str:
    """Return what is said of the preset in effect behind its source."""
    if listed.in_effect is None:
        return ""
    said = "; in effect" if listed.in_effect == "configured" else "; in effect by default"
    if not listed.overridden:
        return said
    *others, last = listed.overridden
    who = f"{', '.join(others)} and {last} are" if others else f"{last} is"
    return f"{said}, but {who} overridden"


def _resolved(name: str, names: Names) -> tuple[str, str]:
    """Return a model's name with its provider, as far as that is known, and its slug."""
    try:
        model = names.named(name)
    except (CredentialError, UsageError):  # which a run says; a list goes on
        return name, name
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
    return in_lines(text, width, indent, indent + hanging)
