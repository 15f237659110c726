"""What a server's list of models tells of them (`GET /models`, specification, section 5).

Pure: bytes to models. A list of any shape is read as far as it makes sense; knows no connection and no file.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from math import isfinite
from operator import itemgetter
from typing import Any, NamedTuple, TypeVar

from fusion_cli.chat import Price

T = TypeVar("T")

_LEAST, _MOST = 256, 1_000_000_000  # what is outside is a mistake, and no context
_MOST_DOLLARS = 1000.0  # for one token or one call
_MAX_MODELS = 20_000
_MAX_NAME_CHARS = 300
_MAX_WORDS = 100


class ListedModel(NamedTuple):
    """One model of a list; None and empty are unknown.

    Attributes:
        slug: Its `id`.
        canonical_slug: The name that it shares with its variants.
        context_tokens: How much it can read and write in one call.
        price: What it costs; None for routers, whose price depends on where they lead, too.
        parameters: What can be set in a request.
        input_modalities: `text`, `image` and the like.
    """

    slug: str
    name: str = ""
    canonical_slug: str = ""
    context_tokens: int | None = None
    price: Price | None = None
    parameters: tuple[str, ...] = ()
    input_modalities: tuple[str, ...] = ()


class Catalogue(NamedTuple):
    """A server's models, and when it told of them.

    Attributes:
        base_url: The server's.
        fetched_at: In seconds since 1970.
    """

    base_url: str
    fetched_at: float
    models: tuple[ListedModel, ...]

    def context_tokens(self, slug: str) -> int | None:
        """Return how much a model can read and write in one call; None where that is unknown."""
        listed = find(by_name(self.models, lambda model: model.context_tokens), slug)
        return listed or min((it.context_tokens for it in self._family(slug) if it.context_tokens), default=None)

    def price(self, slug: str) -> Price | None:
        """Return what a model costs; None where that is unknown.

        Of a family's newest member (`~author/family-latest`) it is what the dearest one of the list costs.
        """
        if (listed := find(by_name(self.models, lambda model: model.price), slug)) is not None:
            return listed
        prices = [it.price for it in self._family(slug)]
        known = [price for price in prices if price is not None]
        return Price(*map(max, zip(*known, strict=True))) if known and len(known) == len(prices) else None

    def input_modalities(self, slug: str) -> tuple[str, ...] | None:
        """Return what a model reads: `text`, `image` and the like; None where that is unknown."""
        listed = find(by_name(self.models, lambda model: model.input_modalities or None), slug)
        if listed is not None:
            return listed
        common = [set(it.input_modalities) for it in self._family(slug)]
        return tuple(sorted(set.intersection(*common))) if common and all(common) else None

    def has(self, slug: str) -> bool:
        """Tell whether a model is in the list, or one that it is a variant of."""
        return find(by_name(self.models, lambda model: True), slug) is not None

    def _family(self, slug: str) -> list[ListedModel]:
        """Return the members of the family that `~author/family-latest` names: every word of it is in their slugs."""
        named = re.fullmatch(r"~([^/]+)/(.+)-latest", slug)
        if not named:
            return []
        words = set(re.split("[-.]", named[2]))
        mine = [it for it in self.models if it.slug.startswith(f"{named[1]}/") and ":" not in it.slug]
        return [it for it in mine if words <= set(re.split("[-./]", it.slug))]


def parse(body: bytes) -> tuple[ListedModel, ...]:
    """Return the models of a list in its order; what is no list has none."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return ()
    entries = value.get("data") if isinstance(value, dict) else None
    if not isinstance(entries, list):
        return ()
    return tuple(found for entry in entries[:_MAX_MODELS] if (found := _model(entry)))


def as_listed(model: ListedModel) -> dict[str, Any]:
    """Return a model as a list has it, so that `parse` reads the same from it."""
    price = model.price
    pricing = {name: repr(dollars) for name, dollars in price._asdict().items()} if price else None
    entry = {
        "id": model.slug,
        "name": model.name,
        "canonical_slug": model.canonical_slug,
        "context_length": model.context_tokens,
        "pricing": pricing,
        "supported_parameters": list(model.parameters),
        "architecture": {"input_modalities": list(model.input_modalities)} if model.input_modalities else None,
    }
    return {key: value for key, value in entry.items() if value}


def by_name(models: Sequence[ListedModel], of: Callable[[ListedModel], T | None]) -> dict[str, T]:
    """Return what is known of each model, by its `id` and by its `canonical_slug`."""
    known: dict[str, T] = {}
    canonical: list[tuple[bool, str, T]] = []
    for model in models:
        value = of(model)
        if value is None:
            continue
        if model.slug:
            known.setdefault(model.slug, value)
        if model.canonical_slug:
            canonical.append((":" in model.slug, model.canonical_slug, value))
    # Variants share this name with the model itself, which is the one that is meant.
    for _, name, value in sorted(canonical, key=itemgetter(0)):
        known.setdefault(name, value)
    return known


def find(known: Mapping[str, T], slug: str) -> T | None:
    """Return what is known of `slug`, or else of the model that it is a `:variant` of."""
    while slug not in known:
        slug, colon, _ = slug.rpartition(":")
        if not colon:
            return None
    return known[slug]


def near(models: Sequence[ListedModel], slug: str, most: int = 3) -> list[str]:
    """Return the slugs that somebody may have meant by one that is not there, the likeliest first."""
    from difflib import get_close_matches

    by_spelling: dict[str, str] = {}
    for model in models:
        for spelling in (model.slug, model.slug.rpartition("/")[2]):
            by_spelling.setdefault(spelling.lower(), model.slug)
    wanted = slug.lower()
    if by_spelling.get(wanted) == slug:
        return []
    close = get_close_matches(wanted, by_spelling, n=2 * most) + get_close_matches(
        wanted.rpartition("/")[2], by_spelling, n=2 * most, cutoff=0.8
    )
    return list(dict.fromkeys(by_spelling[spelling] for spelling in close))[:most]


def _model(entry: Any) -> ListedModel | None:
    if not isinstance(entry, dict):
        return None
    slug, canonical = _word(entry.get("id")), _word(entry.get("canonical_slug"))
    if not slug and not canonical:
        return None
    architecture = entry.get("architecture")
    modalities = architecture.get("input_modalities") if isinstance(architecture, dict) else None
    return ListedModel(
        slug,
        _word(entry.get("name")),
        canonical,
        _length(entry),
        _price(entry.get("pricing")),
        _words(entry.get("supported_parameters")),
        _words(modalities),
    )


def _length(entry: dict[str, Any]) -> int | None:
    """Return the smaller of what the model can do and what its first provider allows."""
    provider = entry.get("top_provider")
    told = [entry.get("context_length"), provider.get("context_length") if isinstance(provider, dict) else None]
    sensible = [
        length
        for length in told
        if isinstance(length, int) and not isinstance(length, bool) and _LEAST <= length <= _MOST
    ]
    return min(sensible, default=None)


def _price(pricing: Any) -> Price | None:
    if not isinstance(pricing, dict):
        return None
    prompt, completion = _dollars(pricing.get("prompt")), _dollars(pricing.get("completion"))
    request = _dollars(pricing.get("request") or 0)
    if prompt is None or completion is None or request is None:
        return None
    return Price(prompt, completion, request)


def _dollars(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        dollars = float(value)
    except (ValueError, OverflowError):
        return None
    return dollars if isfinite(dollars) and 0 <= dollars <= _MOST_DOLLARS else None


def _word(value: Any) -> str:
    return value if isinstance(value, str) and len(value) <= _MAX_NAME_CHARS else ""


def _words(value: Any) -> tuple[str, ...]:
    return tuple(word for it in value[:_MAX_WORDS] if (word := _word(it))) if isinstance(value, list) else ()
