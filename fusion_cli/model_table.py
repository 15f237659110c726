"""What `fusion models` prints: a table as wide as the screen, values between tabs for a pipe, or JSON.

Picks and lays out listed models; fetches nothing and writes nothing. All text in it is clean.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from fusion_cli.dollars import shown_dollars
from fusion_cli.run_list import cut, width_of
from fusion_cli.terminal import one_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from fusion_cli.api.catalogue import ListedModel

_NARROW, _WIDE = 70, 130  # columns: below, a model has two lines; from here on, its name is in the table
_HEAD = ("MODEL", "CONTEXT", "IN $/M", "OUT $/M", "CAN", "NAME")
_MILLION = 1_000_000
_STRUCTURED = {"structured_outputs", "response_format"}


class Abilities(NamedTuple):
    """What a model can do; None is unknown."""

    tools: bool | None
    structured_output: bool | None
    images: bool | None


def abilities(model: ListedModel) -> Abilities:
    """Return what a list says that a model can do."""
    said, reads = set(model.parameters), model.input_modalities
    return Abilities(
        "tools" in said if said else None,
        bool(_STRUCTURED & said) if said else None,
        "image" in reads if reads else None,
    )


def matching(models: Iterable[ListedModel], words: Sequence[str]) -> list[ListedModel]:
    """Return the models that have every word in their id or name, whatever its case, in the order of their ids."""
    wanted = [word.lower() for entry in words for word in entry.split()]
    found = [model for model in models if all(word in f"{model.slug} {model.name}".lower() for word in wanted)]
    return sorted(found, key=lambda model: model.slug)


def as_rows(models: Iterable[ListedModel]) -> list[str]:
    """Return a line for each model, its values between tabs; what is unknown is empty.

    They are id, context in tokens, US dollars per million tokens in and out, whether it has tools, structured output
    and images (yes or no), and name.
    """
    return ["\t".join(map(_plain, (one_line(it.slug), *_values(it), one_line(it.name)))) for it in models]


def as_table(models: Sequence[ListedModel], width: int) -> list[str]:
    """Return the lines of a table that is at most `width` columns wide, from 40 on; only a longer id stands out."""
    rows = [_cells(model) for model in models]
    if width < _NARROW:
        return [line for row in rows for line in _two_lines(row, width)]
    rows.insert(0, _HEAD)
    columns = [[row[at] for row in rows] for at in range(1, 5)]
    widths = [max(map(width_of, column)) for column in columns]
    most = width - sum(widths) - 2 * len(widths) - (30 if width >= _WIDE else 0)
    room = max((size for row in rows if (size := width_of(row[0])) <= most), default=0)
    lines = []
    for slug, *cells, name in rows:
        if width_of(slug) > room:
            lines.append(slug)
            slug = ""
        *numbers, can = cells
        right = [cell.rjust(wide) for cell, wide in zip(numbers, widths, strict=False)]
        line = "  ".join((slug + " " * (room - width_of(slug)), *right, can.ljust(widths[-1])))
        lines.append((f"{line}  {cut(name, width - width_of(line) - 2)}" if width >= _WIDE else line).rstrip())
    return lines


def as_objects(provider: str, models: Iterable[ListedModel]) -> list[dict[str, Any]]:
    """Return an object for each model; what is unknown is null."""
    return [
        {
            "id": model.slug,
            "provider": provider,
            "name": model.name or None,
            "context_tokens": model.context_tokens,
            "input_usd_per_million": _per_million(model.price and model.price.prompt),
            "output_usd_per_million": _per_million(model.price and model.price.completion),
            "request_usd": model.price and model.price.request,
            **abilities(model)._asdict(),
        }
        for model in models
    ]


def _values(model: ListedModel) -> tuple[Any, ...]:
    price = model.price
    dollars = (_per_million(price and price.prompt), _per_million(price and price.completion))
    return (model.context_tokens, *dollars, *abilities(model))


def _plain(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


def _per_million(dollars: float | None) -> float | None:
    return None if dollars is None else round(dollars * _MILLION, 6)


def _cells(model: ListedModel) -> tuple[str, ...]:
    context, dollars_in, dollars_out, *can = _values(model)
    named = [name for name, has in zip(("tools", "json", "image"), can, strict=True) if has]
    prices = ("-" if dollars is None else shown_dollars(dollars) for dollars in (dollars_in, dollars_out))
    return (one_line(model.slug), _tokens(context), *prices, " ".join(named), one_line(model.name))


def _tokens(count: int | None) -> str:
    if count is None:
        return "-"
    return (
        f"{count / _MILLION:.3g}M" if count >= _MILLION else f"{count / 1000:.0f}k" if count >= 10_000 else str(count)
    )


def _two_lines(row: tuple[str, ...], width: int) -> list[str]:
    slug, context, dollars_in, dollars_out, can, _ = row
    known = [context] if context != "-" else []
    known += [f"{dollars_in}/{dollars_out}"] if dollars_in != "-" else []
    about = "  ".join([*known, can]).rstrip()
    return [slug, *([cut(f"  {about}", width)] if about else [])]
