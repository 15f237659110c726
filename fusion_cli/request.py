"""An upstream request body, as users of the API have it, to what it asks for; nothing of it is dropped in silence.

Every field is honoured, refused, or named in one warning: the tables at the top say which. Decides nothing that a flag
may still change, opens nothing, calls nobody.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import Any, NamedTuple

from fusion_cli import prompts, values
from fusion_cli.body import ARRAY, MOST_NAMED, OBJECT, TYPED, Body, given, such
from fusion_cli.chat import Message, ModelName
from fusion_cli.choices import Choices
from fusion_cli.conversation import read_messages, transcript
from fusion_cli.defaults import preset_of_alias
from fusion_cli.plan import MAX_PANELISTS, Plan, Prompt, ToolChoice
from fusion_cli.prompts import told_first
from fusion_cli.terminal import one_line
from fusion_cli.values import FUSION_TOOL_TYPE, Kind, MisfitError, describe, shown


def _number(least: int, most: int) -> Kind:
    return such(f"a number from {least} to {most}", lambda it: type(it) in (int, float) and least <= it <= most)


def _fit_slugs(value: object) -> Any:
    if isinstance(value, list):
        for index, slug in enumerate(value):
            if not isinstance(slug, str):
                raise MisfitError(describe(slug), inside=f"[{index}]", expects=values.MODEL.expects)
    return values.PANEL.check(value)


def _fit_fallbacks(value: object) -> object:
    for index, slug in enumerate(value if isinstance(value, list) else [value]):
        if preset_of_alias(values.fit_model(slug)):
            raise MisfitError(describe(slug), inside=f"[{index}]", expects="a model that is no fusion")
    if not isinstance(value, list):
        raise MisfitError(describe(value))
    return value


def _fit_reasoning(value: object) -> Any:
    said = given(value) if isinstance(value, dict) else value
    return None if said == {} else values.REASONING.check(said)


def _is_stop(value: object) -> bool:
    texts = value if isinstance(value, list) else [value]
    return len(texts) <= 4 and all(isinstance(text, str) for text in texts)


def _is_bias(value: object) -> bool:
    return isinstance(value, dict) and all(type(number) in (int, float) for number in value.values())


def _are_plugins(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(it, dict) and isinstance(it.get("id"), str) for it in value)


# Goes to the outer model as it stands, whoever serves it.
_FOR_ANY_SERVER: Mapping[str, Kind] = {
    "temperature": _number(0, 2),
    "top_p": _number(0, 1),
    "top_k": values.SEED,
    "min_p": _number(0, 1),
    "frequency_penalty": _number(-2, 2),
    "presence_penalty": _number(-2, 2),
    "repetition_penalty": _number(0, 2),
    "logit_bias": such("an object of numbers", _is_bias),
    "stop": such("text, or an array of at most 4", _is_stop),
    "response_format": TYPED,
    "reasoning_effort": values.EFFORT,
    "verbosity": values.TEXT,
    "prediction": TYPED,
    "user": values.TEXT,
    "service_tier": values.TEXT,
    "metadata": OBJECT,
    "prompt_cache_key": values.TEXT,
}
# The same, but another server would refuse the call for it, or worse, take it for something else.
_FOR_OPENROUTER: Mapping[str, Kind] = {
    "top_a": _number(0, 1),
    "reasoning": OBJECT,
    "provider": OBJECT,
    "models": Kind("an array of model slugs", _fit_fallbacks),
    "plugins": such("an array of plugins, each an object with an id", _are_plugins),
    "route": values.TEXT,
    "transforms": ARRAY,
    "session_id": values.TEXT,
    "trace": OBJECT,
    "cache_control": OBJECT,
    "prompt_cache_options": OBJECT,
}
# Of the routing: who may read the question, and what may be done with the texts that the answer is made of.
_FOR_EVERY_CALL = ("data_collection", "zdr", "enforce_distillable_text")
_ASKS_NOTHING = (False, "allow")
# Named in a warning: nothing here could carry it out.
_LEFT_OUT = ("logprobs", "top_logprobs", "debug", "max_tool_calls", "stop_server_tools_when")
# Only the value that changes nothing is taken: an answer is one text.
_FIXED: Mapping[str, Kind] = {
    "n": such("1: there is one answer", lambda it: type(it) is int and it == 1),
    "modalities": such('["text"]: there is no other answer', lambda it: it == ["text"]),
    "image_config": such("nothing: there are no images", lambda it: False),
    "audio": such("nothing: there is no audio", lambda it: False),
}
# Read on their own below, or true of every run: it streams, counts, and has one tool that is called once.
_ELSEWHERE = ("messages", "model", "tools", "tool_choice", "max_completion_tokens", "max_tokens", "seed")
_ALWAYS = ("stream", "stream_options", "usage", "parallel_tool_calls")

_PLUGIN_PARAMETERS: Mapping[str, tuple[str, Kind]] = {
    "preset": ("preset", values.NAME),
    "analysis_models": ("panel", Kind(f"an array of 1 to {MAX_PANELISTS} model slugs", _fit_slugs)),
    "model": ("judge", values.MODEL),
    "max_tool_calls": ("max_tool_calls", values.TOOL_CALLS),
    "tools": ("tools", values.TOOLS),
}
_TOOL_PARAMETERS: Mapping[str, tuple[str, Kind]] = {
    **_PLUGIN_PARAMETERS,
    "max_completion_tokens": ("max_completion_tokens", values.TOKENS),
    "reasoning": ("reasoning", Kind(values.REASONING.expects, _fit_reasoning)),
    "temperature": ("temperature", values.TEMPERATURE),
}
_WEB_PLUGINS = ("web", "web-fetch")
_FORCES = (
    {"type": FUSION_TOOL_TYPE},
    {"type": "function", "function": {"name": "fusion"}},
    {"type": "function", "function": {"name": FUSION_TOOL_TYPE}},
)


class Request(NamedTuple):
    """What a request body asks for.

    Attributes:
        choices: What flags, config file and presets may say, too.
        prompt: What the panel is asked where the outer model does not put it in its own words.
        conversation: All messages, for the outer model.
        outer_extra: What else goes to the outer model, as it stands.
        answer_max_completion_tokens: The outer model's limit.
        warnings: What is not honoured, a line each.
        attached: Whether the fusion tool is part of it, be it by an alias.
    """

    choices: Choices
    prompt: Prompt
    conversation: tuple[Message, ...]
    outer_extra: Mapping[str, Any]
    answer_max_completion_tokens: int | None
    warnings: tuple[str, ...]
    attached: bool

    def under(self, flags: Choices) -> Choices:
        """Return what is asked for when flags win.

        A flag that names an alias convenes the panel, too. One that names another outer model than the body's alias
        leaves the alias its panel and its judge.
        """
        own = self.choices
        if flags.model and preset_of_alias(flags.model):
            if not self.attached and flags.tool_choice is None:
                own = own._replace(tool_choice=None)
        elif flags.model and own.preset is None:
            own = own._replace(preset=preset_of_alias(own.model or ""))
        return flags.over(own)

    def applied_to(self, plan: Plan, flags: Choices | None = None) -> Plan:
        """Return the plan with what only a request can say; it knows who the outer model is, and who convenes."""
        warnings = [*self.warnings]
        if not self.attached and plan.tool_choice == "none":
            warnings.append("the request does not attach the fusion tool: the outer model answers alone")
        is_another = flags is not None and flags.model is not None
        extra, left_out = _for_outer_model(self.outer_extra, plan.outer, is_another=is_another)
        inner, untold = _for_inner_calls(given(self.outer_extra.get("provider", {})), plan.inner_models)
        limit = self.answer_max_completion_tokens
        return plan._replace(
            conversation=told_first(plan.system, self.conversation),
            outer_extra=extra,
            inner_extra=inner,  # also where no panel meets: it may when the conversation goes on
            answer_max_completion_tokens=plan.answer_max_completion_tokens if limit is None else limit,
            warnings=(*plan.warnings, *warnings, *left_out, *(untold if plan.tool_choice != "none" else ())),
        )


def routing_of(plan: Plan) -> Mapping[str, Any]:
    """Return the routing that a plan's request asked for: all of it, or at least what holds for every call."""
    return {**plan.inner_extra.get("provider", {}), **plan.outer_extra.get("provider", {})}


def written_by(plan: Plan, outer: ModelName) -> Plan:
    """Return the plan with another outer model, and with what its request asks of that one."""
    routing = routing_of(plan)
    asked = {**plan.outer_extra, **({"provider": routing} if routing else {})}
    extra, warnings = _for_outer_model(asked, outer, is_another=outer != plan.outer)
    return plan._replace(outer=outer, outer_extra=extra, warnings=(*plan.warnings, *warnings))


def as_private_as(before: Plan, plan: Plan) -> Plan:
    """Return the plan of a judge who reads an earlier run's responses, with the privacy that its request asked for."""
    private = {key: value for key, value in routing_of(before).items() if key in _FOR_EVERY_CALL}
    inner, warnings = _for_inner_calls(private, plan.inner_models[:1])
    outer, _ = _for_outer_model(inner, plan.outer, is_another=True)
    return plan._replace(inner_extra=inner, outer_extra=outer, warnings=(*plan.warnings, *warnings))


def _for_outer_model(
    extra: Mapping[str, Any], outer: ModelName, *, is_another: bool
) -> tuple[Mapping[str, Any], list[str]]:
    """Return what of a request goes to this outer model as it stands, and what to say of the rest."""
    warnings = []
    if is_another and extra.get("models"):
        extra = {key: value for key, value in extra.items() if key != "models"}
        warnings.append("the request's models are left out: they are fallbacks of another outer model")
    unknown = [] if outer.provider == "openrouter" else [key for key in extra if key in _FOR_OPENROUTER]
    if unknown:
        warnings.append(f"only OpenRouter knows {', '.join(unknown)}: left out for {outer.shown}")
    return {key: value for key, value in extra.items() if key not in unknown}, warnings


def _for_inner_calls(routing: Mapping[str, Any], models: Collection[ModelName]) -> tuple[Mapping[str, Any], list[str]]:
    """Return what of the routing goes to panel and judge, too, and what to say of the rest."""
    inner = {key: value for key, value in routing.items() if key in _FOR_EVERY_CALL}
    warnings = []
    rest = [f"provider.{shown(key)}" for key in routing if key not in inner]
    if rest and any(model.has_server_tools for model in models):
        more = f" and {len(rest) - MOST_NAMED} more" if rest[MOST_NAMED:] else ""
        are = "are" if rest[1:] else "is"
        named = ", ".join(rest[:MOST_NAMED]) + more
        warnings.append(f"the request's {named} {are} not given to panel and judge")
    asked = [f"provider.{key}" for key, value in inner.items() if value not in _ASKS_NOTHING]
    # What an embedded model reads does not leave this machine.
    others = sorted({model.shown for model in models if not model.has_server_tools and not model.is_local})
    if asked and others:
        warnings.append(f"only OpenRouter knows {', '.join(asked)}: nobody holds {', '.join(others)} to it")
    return {"provider": inner} if inner else {}, warnings


def read_request(text: str, name: str) -> Request:
    """Return what a request body asks for.

    Args:
        text: The body.
        name: Its file, to begin an error with; `-` is standard input.

    Raises:
        UsageError: It is no request, or asks for what cannot be done here.
    """
    body = Body("standard input" if name == "-" else one_line(name, 100))
    shape = body.parse(text)
    conversation = read_messages(body, shape.get("messages"))
    extra = _checked(body, shape)
    choices, attached = _choices(body, shape)
    if "plugins" in extra:
        extra["plugins"] = [plugin for plugin in extra["plugins"] if _is_passed_on(body, plugin)]
    earlier = [("the conversation so far", transcript(conversation[:-1]))] if conversation[1:] else []
    prompt = Prompt(conversation[-1].content.strip(), background=prompts.material(earlier))
    said = {key: value for key, value in extra.items() if value != []}
    limit = _answer_limit(body, shape)
    return Request(choices, prompt, conversation, said, limit, body.warnings, attached)


def _is_passed_on(body: Body, plugin: Mapping[str, Any]) -> bool:
    """Tell whether a plugin goes to the outer model, which has no web tools (specification, section 4)."""
    name = str(plugin["id"])
    if name in _WEB_PLUGINS and plugin.get("enabled") is not False:
        body.warn(f"the request's plugin {name} is not given to the outer model")
        return False
    return name != "fusion"


def _checked(body: Body, shape: Mapping[str, Any]) -> dict[str, Any]:
    """Return what goes to the outer model, once every field of the request has been looked at."""
    extra = {}
    for key, value in shape.items():
        if kind := _FOR_ANY_SERVER.get(key) or _FOR_OPENROUTER.get(key):
            extra[key] = body.fit(kind, value, key)
        elif key in _FIXED:
            body.fit(_FIXED[key], value, key)
        elif key in _LEFT_OUT:
            if value is not False:
                body.warn(f"the request's {key} cannot be honoured here and was left out")
        elif key not in (*_ELSEWHERE, *_ALWAYS):
            body.warn_of_unknown(f'the request\'s field "{shown(key)}" is not known here and was left out')
    return extra


class _Fusion(NamedTuple):
    """The fusion tool as the request attaches it in one place, by tool or by plugin."""

    where: str
    choices: Choices
    by_plugin: bool


def _choices(body: Body, shape: Mapping[str, Any]) -> tuple[Choices, bool]:
    """Return what a request asks for, and whether the fusion tool is part of it."""
    model = body.fit(values.MODEL, shape["model"], "model") if "model" in shape else None
    if model is None and shape.get("models"):
        model = shape["models"][0]  # upstream asks the first one first
    preset = preset_of_alias(model or "")
    alias = model if model and preset else ""
    fusions = [*_tools(body, shape.get("tools", [])), *_plugins(body, shape.get("plugins", []), alias)]
    told = [fusion for fusion in fusions if fusion.choices != Choices()]
    for other in told[1:]:
        if other.choices != told[0].choices:
            body.refuse(other.where, f"the same parameters as in {told[0].where}, or none", "other ones")
    choices = told[0].choices if told else Choices()
    # Upstream the plugin's model writes the answer, too; of the alias there is only the preset's panel left then.
    if alias and choices.judge and any(fusion.by_plugin for fusion in told):
        model = choices.judge
        if choices.panel is None and choices.preset is None:
            choices = choices._replace(preset=preset)
    attached = bool(alias or fusions)
    choices = choices._replace(
        model=model,
        tool_choice=_tool_choice(body, shape.get("tool_choice"), alias, attached=attached),
        seed=body.fit(values.SEED, shape["seed"], "seed") if "seed" in shape else None,
    )
    return choices, attached


def _tool_choice(body: Body, value: Any, alias: str, *, attached: bool) -> ToolChoice | None:
    if value in _FORCES:
        value = "required"
    elif isinstance(value, dict):
        function = value.get("function")
        named = function.get("name") if isinstance(function, dict) else value.get("type")
        body.refuse("tool_choice", "auto, required, none or the fusion tool", describe(named))
    choice: ToolChoice | None = None if value is None else body.fit(values.TOOL_CHOICE, value, "tool_choice")
    if alias:
        if choice in ("auto", "none"):
            body.warn(f"the request's tool_choice {choice} has no effect: {alias} always convenes the panel")
        return "required"
    if attached:
        return choice
    if choice == "required":
        body.refuse("tool_choice", "auto or none, as no fusion tool is attached", "required")
    return "none"


def _tools(body: Body, value: object) -> Iterator[_Fusion]:
    for index, entry in enumerate(body.fit(ARRAY, value, "tools")):
        where = f"tools[{index}]"
        tool = given(body.fit(TYPED, entry, where))
        kind = tool.pop("type")
        if kind == FUSION_TOOL_TYPE:
            inside = f"{where}.parameters"
            parameters = given(body.fit(OBJECT, tool.pop("parameters", {}), inside))
            body.leave_out(tool, where)
            yield _Fusion(inside, _parameters(body, parameters, _TOOL_PARAMETERS, inside), by_plugin=False)
        elif kind == "function":
            hint = "The outer model is given the fusion tool alone."
            raise body.error(f"{where}: function tools cannot be run here", hint=hint)
        elif kind.startswith(("openrouter:", "web_search")):  # upstream makes the one of the other
            body.warn_of_unknown(f"the request's tool {shown(kind)} is not given to the outer model")
        else:
            body.refuse(f"{where}.type", FUSION_TOOL_TYPE, describe(kind))


def _plugins(body: Body, plugins: list[dict[str, Any]], alias: str) -> Iterator[_Fusion]:
    for index, entry in enumerate(plugins):
        if entry["id"] != "fusion":
            continue
        where = f"plugins[{index}]"
        plugin = given(entry)
        del plugin["id"]
        if body.fit(values.SWITCH, plugin.pop("enabled", True), f"{where}.enabled"):
            yield _Fusion(where, _parameters(body, plugin, _PLUGIN_PARAMETERS, where), by_plugin=True)
        elif alias:
            body.warn(f"the request's plugins[].enabled has no effect: {alias} always convenes the panel")


def _parameters(body: Body, said: Mapping[str, Any], known: Mapping[str, tuple[str, Kind]], where: str) -> Choices:
    """Return what the fusion tool's parameters ask for."""
    chosen = {}
    for key, value in said.items():
        if key in known:
            field, kind = known[key]
            chosen[field] = body.fit(kind, value, f"{where}.{key}")
    body.leave_out([key for key in said if key not in known], where)
    return Choices(**chosen)


def _answer_limit(body: Body, shape: Mapping[str, Any]) -> int | None:
    keys = [key for key in ("max_completion_tokens", "max_tokens") if key in shape]
    limits = [body.fit(values.TOKENS, shape[key], key) for key in keys]
    if len(set(limits)) > 1:
        body.refuse("max_tokens", f"{limits[0]}, as max_completion_tokens says, or nothing", str(limits[1]))
    return limits[0] if limits else None
