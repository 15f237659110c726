"""What is known of models before one of them is asked: a provider's list, what models read, and who is misspelt.

Asks for lists and calls no model; a list that is kept on disk and new enough costs no request.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from fusion_cli.chat import Endpoint, ModelName, Price
from fusion_cli.counts import count
from fusion_cli.errors import CredentialError, FusionError, UnreachableError
from fusion_cli.event_loop import run_to_the_end
from fusion_cli.keys import obtain_key
from fusion_cli.settings import resolve_provider
from fusion_cli.terminal import one_line

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from fusion_cli.api.catalogue import Catalogue, ListedModel
    from fusion_cli.context import Context

Modalities = tuple[str, ...] | None

_MOST_NAMED = 5  # with the nearest name of each, that is three or four lines of a terminal


class Listing(NamedTuple):
    """A provider's models; `notices` is what the user may want to know of the list, a line each."""

    provider: str
    models: tuple[ListedModel, ...]
    notices: tuple[str, ...] = ()


def list_models(context: Context, named: str | None, *, refresh: bool) -> Listing:
    """Return the models of a provider: as it lists them, or as it did when that was last asked.

    Args:
        context: Knows the settings.
        named: The provider; None is the default one, or OpenRouter, whose list needs no key.
        refresh: Whether to ask even where the list that is kept is new.

    Raises:
        UsageError: There is no such provider.
        UnreachableError: The list cannot be fetched, and none is kept.
    """
    settings = context.settings
    try:
        name = resolve_provider(settings, named, context.machine.engine_installed)
    except CredentialError:
        name = "openrouter"
    provider = settings.providers[name]
    if provider.is_local:
        hint = () if named else ("these are the embedded models; OpenRouter's: fusion models --provider openrouter",)
        return Listing(name, _embedded(context), hint)

    async def ask() -> tuple[Catalogue | None, list[str], str]:
        from fusion_cli.api.client import ChatClient

        url = provider.base_url
        endpoints = {ModelName(name, ""): Endpoint(url)}
        async with ChatClient(endpoints, cache_dir=settings.cache_dir) as client:
            # OpenRouter tells everybody, and a command that brings a key may ask its user for something.
            tell = context.terminal.note
            key = (lambda: None) if provider.is_openrouter else (lambda: obtain_key(provider, tell))
            found = await client.lists.of(url, key=key, refresh=refresh)
            return found, client.notices, client.lists.failures.get(url, "")

    found, notices, why = run_to_the_end(ask())
    if found is None:
        raise UnreachableError(
            f"the model list of {name} could not be fetched, and none is kept: {one_line(why, 200)}",
            hint="fusion config doctor looks for the cause.",
        )
    return Listing(name, found.models, tuple(notices))


def modalities(context: Context, models: Collection[ModelName]) -> Mapping[ModelName, Modalities]:
    """Return what each model reads, as its provider's catalogue has it; None where nobody says.

    Raises:
        ConfigError: The network cannot be used as the environment says.
    """
    settings = context.settings
    listed = sorted(model for model in models if settings.providers[model.provider].is_openrouter)

    async def ask() -> list[Modalities]:
        from fusion_cli.api.client import ChatClient

        where = {model: Endpoint(settings.providers[model.provider].base_url, has_catalogue=True) for model in listed}
        async with ChatClient(where, cache_dir=settings.cache_dir) as client:
            return [await client.input_modalities(model) for model in listed]

    told = dict(zip(listed, run_to_the_end(ask()), strict=True)) if listed else {}
    return {model: ("text",) if model.is_local else told.get(model) for model in models}


def misspelt(context: Context, models: Collection[ModelName]) -> list[str]:
    """Return the line on models that OpenRouter's list does not have, if any, where one is kept; nothing is fetched."""
    settings = context.settings
    # A name with a tilde stands for the newest of its kind, and need not be listed.
    named = sorted({model.slug for model in models if model.has_server_tools and not model.slug.startswith("~")})
    try:
        folder = settings.cache_dir if named else None
    except FusionError:  # no home folder, no cache
        folder = None
    if folder is None:
        return []
    from fusion_cli.api import catalogue_cache

    base_url = settings.providers["openrouter"].base_url
    missing = catalogue_cache.missing(folder, base_url, named)
    kept = catalogue_cache.peek(folder, base_url) if missing else None
    return unlisted(kept, missing) if kept else []


def unlisted(kept: Catalogue, slugs: Collection[str]) -> list[str]:
    """Return the line that is said of those of these models that a list does not have, and nothing where it has all."""
    from fusion_cli.api import catalogue_cache
    from fusion_cli.api.catalogue import near

    missing = {slug: list(map(one_line, near(kept.models, slug))) for slug in slugs if not kept.has(slug)}
    where = f"not in the model list of {catalogue_cache.age(kept)} ago"
    if not missing:
        return []
    if len(missing) == 1:
        ((slug, meant),) = missing.items()
        return [f"{slug} is {where}" + (f"; did you mean {', '.join(meant)}?" if meant else "")]
    said = [slug + (f" ({meant[0]}?)" if meant else "") for slug, meant in missing.items()]
    more = f" and {len(said) - _MOST_NAMED} more" if said[_MOST_NAMED:] else ""
    return [f"{count(len(said), 'model')} are {where}: {', '.join(said[:_MOST_NAMED])}{more}"]


def _embedded(context: Context) -> tuple[ListedModel, ...]:
    from fusion_cli.api.catalogue import ListedModel
    from fusion_cli.local.engine import CONTEXT

    own = context.settings.local_model
    slugs = [own.stem] if own else context.machine.embedded_models()
    return tuple(
        ListedModel(slug, "", "", CONTEXT, Price(0.0, 0.0), ("structured_outputs",), ("text",)) for slug in slugs
    )
