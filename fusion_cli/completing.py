"""What Tab offers for models, presets and providers: from the config file and the model lists kept on disk alone.

Asks nobody and moves no file; what cannot be read offers nothing. Imports little, and that when Tab is pressed. The
parameters are Typer's: `ctx` is the context of the line so far, `incomplete` the word that is being written.
"""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fusion_cli.settings import Settings

_HARMLESS = r"[A-Za-z0-9~][A-Za-z0-9._~/:@+-]*"  # a server wrote the list, and a shell reads what is offered


def presets(ctx: Any) -> list[str]:
    """Return the names of the presets, the built-in ones first."""
    from fusion_cli.presets import PRESETS

    return list(dict.fromkeys((*PRESETS, *_settings(ctx).presets)))


def providers(ctx: Any) -> list[str]:
    """Return the names of the providers, the built-in ones first."""
    return list(_settings(ctx).providers)


def models(ctx: Any, incomplete: str) -> list[str]:
    """Return the names of models that begin so; those of a provider that is not the default one, with its name."""
    settings = _settings(ctx)
    default = _said(ctx.params.get("provider")) or settings.default_provider or "openrouter"
    head, colon, _ = incomplete.partition(":")
    found: list[str] = []
    if colon and head in settings.providers:
        found += [f"{head}:{slug}" for slug in _slugs(settings, head)]
    else:  # the others' names come first, and what they serve with the next Tab
        found += [f"{name}:" for name in settings.providers if name != default]
    if default in settings.providers:
        found += _slugs(settings, default)
    return [name for name in dict.fromkeys(found) if name.startswith(incomplete) and re.fullmatch(_HARMLESS, name)]


def panel(ctx: Any, incomplete: str) -> list[str]:
    """Return what a list of models between commas may go on with."""
    before, comma, last = incomplete.rpartition(",")
    return [f"{before}{comma}{name}" for name in models(ctx, last)]


def _said(value: Any) -> str | None:
    """Return what an option says on a line that is not complete, where one that was left out can be anything."""
    return value if isinstance(value, str) and value else None


def _settings(ctx: Any) -> "Settings":
    """Return what is configured; nothing where that cannot be read, as whoever runs something is told."""
    from fusion_cli import settings
    from fusion_cli.errors import FusionError
    from fusion_cli.providers import read_providers

    named = _said(ctx.find_root().params.get("config"))
    try:
        return settings.load(Path(named) if named else None)
    except (FusionError, OSError):
        return settings.Settings(read_providers({}, {}, Path(), {}), Path())


def _slugs(settings: "Settings", name: str) -> "Iterator[str]":
    from fusion_cli.api import catalogue_cache
    from fusion_cli.errors import FusionError
    from fusion_cli.presets import embedded_models

    if settings.providers[name].is_local:
        yield from [settings.local_model.stem] if settings.local_model else embedded_models()
        return
    try:
        kept = catalogue_cache.peek(settings.cache_dir, settings.providers[name].base_url)
    except FusionError:  # no home folder
        return
    for model in kept.models if kept else ():
        yield model.slug
