"""Leads a person through the first configuration, for `fusion config init`: provider, key, preset or models.

Asks first and writes last, so that whoever leaves in between leaves nothing half done. The key is tried through a
function that is handed in; it is kept in a file of its own and never shown.
"""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from fusion_cli import config_file, config_writer
from fusion_cli.addresses import keeps_secrets
from fusion_cli.errors import ConfigError, CredentialError, EngineError, FusionError, UnreachableError, UsageError
from fusion_cli.keys import obtain_key
from fusion_cli.plan import MAX_PANELISTS
from fusion_cli.presets import PRESETS
from fusion_cli.providers import Provider, fits_header
from fusion_cli.regular_files import open_regular
from fusion_cli.terminal import one_line
from fusion_cli.values import NAME_PATTERN, URL, MisfitError, as_data, describe, fit_model, printable

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from fusion_cli.api.probe import Sounding
    from fusion_cli.dialogue import Dialogue
    from fusion_cli.naming import Machine
    from fusion_cli.settings import Settings

    SoundOut = Callable[[Provider, str | None], Sounding]

_TRIES = 3
_SHOWN = 20  # models of a server
_ROLES = ("panel", "judge", "model")


class Wishes(NamedTuple):
    """What need not be asked; None has to be.

    Attributes:
        yes: Whether an existing file may be changed.
    """

    provider: str | None = None
    base_url: str | None = None
    preset: str | None = None
    yes: bool = False


class Outcome(NamedTuple):
    """What is to be written.

    Attributes:
        values: By dotted key of the config file; None removes one.
        key: What goes into a key's file.
        key_path: That file.
        notes: What is left to do, a line each.
    """

    values: dict[str, Any]
    key: str | None = None
    key_path: Path | None = None
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        """Say what is written; the key is never shown."""
        return f"Outcome({self.values!r}, notes={self.notes!r})"


class Guide:
    """One conversation.

    Args:
        dialogue: Who is asked.
        settings: What is configured so far.
        machine: What this machine can do.
        sound_out: Asks a provider, with a key, whether it is there.
        wishes: What need not be asked.
    """

    def __init__(
        self, dialogue: Dialogue, settings: Settings, machine: Machine, sound_out: SoundOut, wishes: Wishes
    ) -> None:
        self._dialogue = dialogue
        self._settings = settings
        self._machine = machine
        self._sound_out = sound_out
        self._wishes = wishes
        self._served: tuple[str, ...] = ()  # by the server that was asked last

    def lead(self) -> Outcome:
        """Return what is to be written, after an existing file's owner has agreed.

        Raises:
            UsageError: A wish cannot be fulfilled, or somebody has to be asked and there is no terminal.
            CredentialError: No key was accepted.
            EngineError: The embedded engine was chosen, and is not installed.
            FusionError: Whoever was asked did not go on.
        """
        name = self._provider_name()
        if name == "local":
            outcome = self._embedded()
        elif name == "openrouter":
            outcome = self._openrouter(self._settings.providers[name])
        else:
            outcome = self._own_server(name)
        self._demand_consent(outcome)
        if self._settings.sources.get("provider", "file") != "file":
            outcome = outcome._replace(notes=(*outcome.notes, "FUSION_PROVIDER is set, and wins over the file."))
        return outcome

    def _provider_name(self) -> str:
        if (name := self._wishes.provider) is not None:
            known = name in self._settings.providers
            if not known and self._wishes.base_url is None:
                raise UsageError(
                    f"--provider: expected one of {', '.join(self._settings.providers)}, found {describe(name)}",
                    hint="For another server give its address, too: --base-url URL",
                )
            if name in config_file.BUILT_IN_PROVIDERS and self._wishes.base_url is not None:
                raise UsageError("--base-url is for a server of your own: give it another name with --provider")
            return name if known else _own_name(name, "--provider: expected ")
        if self._wishes.base_url is not None:
            return "own"
        missing = "" if self._machine.engine_installed() else " (not installed)"
        chosen = self._dialogue.choose(
            "Who serves the models",
            (
                "OpenRouter: one key for every model (https://openrouter.ai)",
                "A server of your own that speaks the OpenAI protocol",
                f"The embedded engine: small models on this machine, for trying the tool out, no key{missing}",
            ),
        )
        if chosen == 1:
            return self._dialogue.ask("A short name for the server", "own", _own_name)
        return ("openrouter", "", "local")[chosen]

    def _embedded(self) -> Outcome:
        if not self._machine.engine_installed():
            raise EngineError("the embedded engine is not installed", hint="pip install 'fusion-deliberation[local]'")
        default = "local-small" if self._machine.memory_is_short() else "local"
        return Outcome({"provider": "local", **self._preset("local", default)})

    def _openrouter(self, provider: Provider) -> Outcome:
        variable = provider.api_key_env or "OPENROUTER_API_KEY"
        outcome = Outcome({"provider": provider.name})
        if not self._has_good_key(provider):
            self._dialogue.tell(f"A key is at https://openrouter.ai/keys. With none, set {variable} later.")
            key = self._new_key(provider, "Key (not shown as you type)")
            outcome = self._kept(outcome, provider, key, variable)
        return outcome._replace(values={**outcome.values, **self._preset("openrouter", "general-high")})

    def _own_server(self, name: str) -> Outcome:
        known = self._settings.providers.get(name, Provider(name))
        text = self._wishes.base_url
        url = (
            self._dialogue.ask("Its address, as http://127.0.0.1:8080/v1", known.base_url, _url) if text is None else ""
        )
        if text is not None:
            try:
                url = _url(text)
            except ValueError as error:
                raise UsageError(f"--base-url: expected {error}") from None
        provider = Provider(name, url) if url != known.base_url else known
        outcome = Outcome({"provider": name, f"providers.{name}.base_url": url})
        if not keeps_secrets(url):
            if known.has_key:
                raise ConfigError(
                    "a key never travels over http:// to another machine, and this provider has one",
                    hint="Give its https:// address, or another name with --provider.",
                )
            self._dialogue.tell("A key never travels over http:// to another machine: none is asked for.")
            self._is_taken(provider, None)
        elif not self._has_good_key(provider):
            key = self._new_key(provider, "Its key (not shown as you type; empty for none)")
            outcome = self._kept(outcome, provider, key, f"{re.sub('[^A-Z0-9]', '_', name.upper())}_API_KEY")
        if self._wishes.preset is not None:
            return outcome._replace(values={**outcome.values, **self._preset(name, "")})
        models = self._models(name, self._served)
        chosen = {"panel": models, "judge": models[0], "model": models[0], "preset": None}
        return outcome._replace(values={**outcome.values, **chosen})

    def _has_good_key(self, provider: Provider) -> bool:
        """Say whether a key is configured already, and accepted."""
        if not provider.has_key:
            return False
        source = self._settings.sources.get(f"providers.{provider.name}.api_key", "")
        try:
            key = obtain_key(provider, self._dialogue.tell)
        except FusionError as error:
            self._dialogue.tell(one_line(str(error), 600))
            return False
        self._dialogue.tell(f"There is a key ({source}).")
        if self._is_taken(provider, key):
            return True
        if provider.api_key:
            raise CredentialError(
                f"the key in {provider.api_key_env} was refused, and wins over any other",
                hint=f"Unset or correct {provider.api_key_env}, then: fusion config init",
            )
        return False

    def _new_key(self, provider: Provider, question: str) -> str | None:
        """Return a key that the provider takes; None where none was given."""
        for _ in range(_TRIES):
            key = self._dialogue.ask_secret(question) or None
            if key and not fits_header(key):
                self._dialogue.tell("That holds a space or another character that no key has.")
            elif (key is None and provider.is_openrouter) or self._is_taken(provider, key):
                return key
        where = "A key is at https://openrouter.ai/keys." if provider.is_openrouter else "Its server knows which."
        raise CredentialError("no key was accepted: nothing was changed", hint=where)

    def _is_taken(self, provider: Provider, key: str | None) -> bool:
        sounding = self._sound_out(provider, key)
        self._served = sounding.models
        if sounding.is_refused:
            self._dialogue.tell(f"It was refused (HTTP {sounding.status})." if key else "The server wants a key.")
            return False
        if not sounding.is_accepted:
            self._demand_answer(sounding, " The key could not be tried." if key else "")
            return True
        left = "" if sounding.left is None else f", ${sounding.left:.2f} left"
        # Many servers list their models to everybody, so only OpenRouter's answer says more than that.
        taken = f"It is accepted{left}." if provider.is_openrouter else "The server does not refuse it."
        self._dialogue.tell(taken if key else "The server answers.")
        return True

    def _demand_answer(self, sounding: Sounding, more: str) -> None:
        """Ask whether to go on where the server does not answer as it should."""
        if sounding.is_accepted:
            return
        said = sounding.trouble or f"the server answers with HTTP {sounding.status}"
        self._dialogue.tell(f"{said[0].upper()}{said[1:]}.{more}")
        if not self._dialogue.agrees("Go on all the same?", default=False):
            raise UnreachableError("ended before it was finished: nothing was changed")

    def _kept(self, outcome: Outcome, provider: Provider, key: str | None, variable: str) -> Outcome:
        """Return the outcome with the place of a new key: a file, or a variable that the user sets."""
        above = f"providers.{provider.name}"
        path = self._settings.key_dir / f"{provider.name}.key"
        there = ", in the place of the key there" if path.exists() else ""
        if key and self._dialogue.agrees(f"Keep it in {printable(str(path))}, for you alone{there}?", default=True):
            values = {**outcome.values, f"{above}.api_key_file": str(path)}
            return Outcome(values, key, path)
        if key is None and not provider.is_openrouter:
            return outcome
        values = outcome.values if provider.is_openrouter else {**outcome.values, f"{above}.api_key_env": variable}
        return Outcome(values, notes=(f"Set the environment variable {variable} to the key.",))

    def _preset(self, provider: str, default: str) -> dict[str, Any]:
        """Return the values for a preset, which replaces whoever was named before."""
        own = self._settings.presets
        name = self._wishes.preset
        if name is None:
            fitting = [each for each, preset in PRESETS.items() if _serves(preset.choices.panel, provider)]
            names = [*fitting, *own]
            described = [f"{each}: {({**PRESETS, **own})[each].description}".rstrip(": ") for each in names]
            configured = self._settings.configured.preset
            start = names.index(configured if configured in names else default)
            name = names[self._dialogue.choose("Preset", [one_line(each) for each in described], start)]
        elif name not in {**PRESETS, **own}:
            raise UsageError(f"--preset: expected one of {', '.join((*PRESETS, *own))}, found {describe(name)}")
        return {"preset": name, **dict.fromkeys(_ROLES)}

    def _models(self, name: str, served: tuple[str, ...]) -> list[str]:
        if served:
            self._dialogue.tell(f"It serves {', '.join(one_line(slug, 80) for slug in served[:_SHOWN])}.")
        self._dialogue.tell(f"Name 1 to {MAX_PANELISTS} for the panel, with commas. The first one judges and answers.")
        default = one_line(served[0], 200) if served else ""
        return [f"{name}:{slug}" for slug in self._dialogue.ask("Panel", default, _slugs).split(",")]

    def _demand_consent(self, outcome: Outcome) -> None:
        """Ask before an existing file is changed, saying what changes in it."""
        path, sources = self._settings.config_path, self._settings.sources
        if self._wishes.yes or not path.exists():
            return
        self._dialogue.tell(f"{printable(str(path))} exists. What changes in it:")
        for key, value in outcome.values.items():
            if value is None and sources.get(key) == "file":
                self._dialogue.tell(f"  {key} is removed")
            elif value is not None:
                self._dialogue.tell(f"  {key} = {config_writer.as_toml(as_data(value))}")
        if not self._dialogue.agrees("Change it?", default=True):
            raise FusionError("nothing was changed")


def store(outcome: Outcome, path: Path) -> None:
    """Write the key's file, then the config file: both or neither.

    Raises:
        ConfigError: One of them cannot be written.
    """
    if outcome.key is None or outcome.key_path is None:
        config_writer.change(path, outcome.values)
        return
    before = None
    if outcome.key_path.exists():
        with open_regular(outcome.key_path) as file:
            before = file.read()
    try:
        config_writer.replace_file(outcome.key_path, f"{outcome.key}\n".encode())
        config_writer.change(path, outcome.values)
    except BaseException:
        with suppress(OSError, FusionError):
            if before is None:
                outcome.key_path.unlink(missing_ok=True)
            else:
                config_writer.replace_file(outcome.key_path, before)
        raise


def _serves(panel: Any, provider: str) -> bool:
    return all(seat.model.startswith(f"{provider}:") for seat in panel or ())


def _own_name(text: str, said: str = "") -> str:
    if not re.fullmatch(NAME_PATTERN, text) or text in config_file.BUILT_IN_PROVIDERS:
        expected = f"{said}a name of letters, digits, - and _ other than openrouter and local"
        raise UsageError(expected) if said else ValueError(expected)
    return text


def _url(text: str) -> str:
    try:
        url: str = URL.check(text)
    except MisfitError as error:
        raise ValueError(f"{URL.expects}, found {error}") from None
    return url


def _slugs(text: str) -> str:
    slugs = [slug.strip() for slug in text.split(",")]
    try:
        fitting = [fit_model(slug) for slug in slugs]
    except MisfitError:
        fitting = []
    if not 1 <= len(fitting) <= MAX_PANELISTS:
        raise ValueError(f"1 to {MAX_PANELISTS} names of models with commas between them")
    return ",".join(fitting)
