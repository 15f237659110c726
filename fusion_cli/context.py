"""The composition root: makes settings, terminal, model client and sinks for a command, and carries its plan out.

The only place that knows all walls at once; nothing heavy is imported before it is needed.
"""

from __future__ import annotations

from contextlib import AsyncExitStack
from functools import cached_property
from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple, TypeVar, cast

from fusion_cli import settings as settings_module
from fusion_cli.chat import Endpoint
from fusion_cli.errors import DegradedError, FusionError, InterruptError, UnwrittenError
from fusion_cli.event_loop import cancelling, run_to_the_end
from fusion_cli.events import fan_out
from fusion_cli.interrupts import INTERRUPTS
from fusion_cli.keys import obtain_key
from fusion_cli.naming import Machine
from fusion_cli.showing import Manner, given_back_when_stopped, prepare, sink_for
from fusion_cli.terminal import Terminal, demand_output, one_line

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Sequence
    from pathlib import Path

    from fusion_cli.about import Watch
    from fusion_cli.api.probe import Sounding
    from fusion_cli.chat import ModelClient, ModelName, Price
    from fusion_cli.choices import Choices
    from fusion_cli.events import Emit
    from fusion_cli.outputs import Outputs
    from fusion_cli.plan import Plan
    from fusion_cli.providers import Provider
    from fusion_cli.results import AnalysisRun, AskRun
    from fusion_cli.settings import Settings
    from fusion_cli.sinks.journal import Journal
    from fusion_cli.sinks.json_lines import JsonLines

    Story = Callable[[Plan, ModelClient, Emit], Awaitable["R"]]

R = TypeVar("R", "AskRun", "AnalysisRun")

_OPENROUTER_HEADERS = (("X-Title", "fusion"),)
_BEFORE_CALLS = {"warning", "engine.weights", "engine.starting"}


class Errand(NamedTuple):
    """Who sends for a run, beside what it is going to do.

    Attributes:
        command: ask, analyze or judge.
        choices: What was chosen explicitly.
        asks: The models that may have to be called.
        parent: The run that this one takes up.
    """

    command: str
    choices: Choices
    asks: Collection[ModelName]
    parent: str | None = None


class Context:
    """What the commands share in one process.

    Args:
        config_flag: What the global `--config` named.
        manner: How much is shown.
        save: Whether runs are kept, where that was said.

    Raises:
        UsageError: There is no standard output, or what was said of the manner makes no sense.
    """

    def __init__(self, config_flag: Path | None, manner: Manner = Manner(), *, save: bool | None = None) -> None:  # noqa: B008 - immutable
        self._config_flag = config_flag
        self._save = save
        self._manner = manner
        self.terminal = Terminal()
        demand_output()
        self.looks = prepare(self.terminal, manner)

    @cached_property
    def settings(self) -> Settings:
        """The settings, read once.

        Raises:
            ConfigError: The config file or an environment variable cannot be used.
        """
        return settings_module.load(self._config_flag)

    @cached_property
    def machine(self) -> Machine:
        """What this machine can do."""

        def engine_installed() -> bool:
            from fusion_cli.local.engine import installed

            return installed()

        def memory_is_short() -> bool:
            from fusion_cli.local.engine import memory_is_short

            return memory_is_short()

        def embedded_models() -> list[str]:
            from fusion_cli.local.weights import WEIGHTS

            return list(WEIGHTS)

        return Machine(engine_installed, memory_is_short, embedded_models)

    def outputs(
        self, form: str | None, named: Sequence[str], *, as_json: bool, dry_run: bool, read: Sequence[str | None]
    ) -> Outputs:
        """Return where a run goes, as the options say (see `outputs.read_outputs`); a dry run goes to no file.

        Raises:
            UsageError: It cannot go there.
        """
        from fusion_cli.outputs import read_outputs

        return read_outputs(
            form,
            () if dry_run else named,
            as_json=as_json,
            looks=self.looks,
            shows_responses=self._manner.show_responses,
            step_summary=settings_module.step_summary(),
            read=read,
        )

    def carry_out(
        self,
        story: Story[R],
        plan: Plan,
        deliver: Callable[[R, bool, Watch], None],
        errand: Errand,
        outputs: Outputs,
    ) -> None:
        """Run a story over the network and have its run delivered; what was paid for is on disk as it comes.

        Args:
            story: `pipeline.ask` and its kind.
            plan: What to do.
            deliver: Writes the run to its user, and raises if it is no success; told whether the answer was shown,
                and what else was seen.
            errand: What the journal says of the run, and whom it asks.
            outputs: Where it goes: as it comes, to a terminal and as lines.

        Raises:
            FusionError: The run could not be started, did not succeed, or was ended by a signal.
        """
        from fusion_cli.about import Watch
        from fusion_cli.events import RunCompleted, Warned
        from fusion_cli.sinks.journal import Journal

        is_ask = errand.command == "ask"
        shows = sink_for(
            self._manner if outputs.is_for_people else self._manner._replace(show_responses=False),
            self.terminal,
            plan,
            answers=is_ask,
            show_answer=is_ask and outputs.is_for_people and self.terminal.stdout_is_tty,
            draws=outputs.draws,
        )
        watch = Watch(plan.outer.slug if is_ask else "")
        sinks: list[Emit] = [shows, watch] if outputs.has_reports else [shows]
        notices: list[str] = []

        def notice(text: str) -> None:
            notices.append(text)
            fan_out(sinks)(Warned(text))

        def not_kept(text: str) -> None:
            notice(text)
            if self._manner.is_quiet:  # an error for whoever relies on it, and not a warning that can be kept back
                self.terminal.insist(f"warning: {one_line(text, 400)}")

        journal = None
        if self.settings.save is not False if self._save is None else self._save:
            folder = self.settings.runs_dir
            journal = Journal(folder, errand.command, plan, errand.choices, errand.parent, not_kept)
        lines = self._lines(plan, errand, outputs, watch.at, journal) if outputs.has_lines else None
        if lines:
            sinks.append(lines)
        happened: set[str] = set()
        if any(model.is_local for model in errand.asks):  # what else can begin before anybody is asked?
            sinks.append(lambda event: happened.add(event.type))
        emit = fan_out([journal, *sinks] if journal else sinks)
        delivered, cause = False, None

        def on_first_request() -> None:
            if lines:
                lines.start()
            self._warm_up()

        async def work() -> R:
            with given_back_when_stopped(shows):
                return await self._carry_out(story, plan, errand, emit, notice, on_first_request)

        def told_run() -> R:
            try:
                return run_to_the_end(work())
            except FusionError as error:
                if not happened or happened - _BEFORE_CALLS:  # refused; or there is more than an empty run could tell
                    raise
                from fusion_cli.outcome import run_without_calls

                return cast("R", run_without_calls(errand.command, error, errand.parent))

        with INTERRUPTS.held(self.terminal.leave_at_once):
            try:
                told: R = told_run()
                kept_as = journal.run if journal and not journal.has_failed else None
                run: R = told.model_copy(update={"run": kept_as, "warnings": [*told.warnings, *notices]})
                emit(RunCompleted(run))
                cause = run.cause
                deliver(run, shows.answer_shown if is_ask else shows.analysis_shown, watch)
                delivered = True
            except (DegradedError, UnwrittenError):  # written, but not good enough, or not everywhere
                delivered = True
                raise
            finally:
                shows.close()
                if journal:
                    journal.close()
                    if not delivered:
                        from fusion_cli.going_on import how_to_go_on

                        for line in how_to_go_on(journal, errand.command, cause, plan.limits):
                            self.terminal.insist(line)

    def _lines(self, plan: Plan, errand: Errand, outputs: Outputs, at: str, journal: Journal | None) -> JsonLines:
        """Return the sink of a run's lines, which begin when somebody is asked."""
        from fusion_cli.sinks.json_lines import JsonLines

        lines = JsonLines(lambda line: outputs.put_line(line, self.terminal))
        lines.begin(journal.run if journal else None, at, errand.command, plan, errand.choices, errand.parent)
        outputs.lines = lines
        return lines

    def quote(self, models: Collection[ModelName]) -> tuple[dict[ModelName, Price | None], tuple[str, ...]]:
        """Return what each model costs, as far as its server's list says, and why one could not be had, a reason each.

        No model is called, no key is sent. The embedded ones are neither started nor in it: they are free.

        Raises:
            ConfigError: The network cannot be used as the environment says.
        """
        hosted = sorted(model for model in models if not model.is_local)

        async def ask() -> tuple[dict[ModelName, Price | None], tuple[str, ...]]:
            from fusion_cli.api.client import ChatClient
            from fusion_cli.budget import prices_of

            endpoints = {model: self._endpoint(model, None) for model in hosted}
            async with ChatClient(endpoints, cache_dir=self.settings.cache_dir) as client:
                quoted = await prices_of(hosted, client)
                for text in client.notices:
                    self.terminal.note(f"warning: {one_line(text, 400)}")
            return quoted

        return run_to_the_end(ask()) if hosted else ({}, ())

    def sound_out(self, provider: Provider, key: str | None) -> Sounding:
        """Ask a provider whether it is there and takes a key; no model is called.

        Raises:
            ConfigError: The network cannot be used as the environment says.
        """
        from fusion_cli.api.probe import sound_out

        headers = _OPENROUTER_HEADERS if provider.is_openrouter else ()
        endpoint = Endpoint(provider.base_url, key, headers)
        return run_to_the_end(sound_out(endpoint, asks_for_key=provider.is_openrouter))

    async def _carry_out(
        self,
        story: Story[R],
        plan: Plan,
        errand: Errand,
        emit: Emit,
        notice: Callable[[str], None],
        on_first_request: Callable[[], None],
    ) -> R:
        import asyncio

        finished: list[R] = []

        async def work() -> None:
            from fusion_cli.api.client import ChatClient

            async with AsyncExitStack() as stack:
                endpoints, timed = await self._endpoints(plan, errand.asks, emit, stack)
                client = await stack.enter_async_context(
                    ChatClient(endpoints, on_first_request=on_first_request, cache_dir=self.settings.cache_dir)
                )
                finished.append(await story(timed, await self._equipped(plan, client, stack), emit))
                for text in client.notices:
                    notice(text)

        task = asyncio.create_task(work())
        with cancelling(task, INTERRUPTS) as signals:
            try:
                await task
            except asyncio.CancelledError:
                if not finished:
                    raise InterruptError(signals[0]) from None
        if signals:
            finished[0].because(InterruptError(signals[0]))
        return finished[0]

    async def _equipped(self, plan: Plan, models: ModelClient, stack: AsyncExitStack) -> ModelClient:
        """Return the models with the web tools that are run here, where the plan has such."""
        if not any(plan.runs_tools_of(model) and plan.tools_for(model) for model in plan.inner_models):
            return models
        from fusion_cli.web.access import Access
        from fusion_cli.web.research import ResearchingModels

        return ResearchingModels(models, await stack.enter_async_context(Access(self.settings.web)))

    async def _endpoints(
        self, plan: Plan, models: Collection[ModelName], emit: Emit, stack: AsyncExitStack
    ) -> tuple[dict[ModelName, Endpoint], Plan]:
        """Return where each model is served, and the plan with the time that starting the embedded ones has taken."""
        endpoints = {model: self._endpoint(model, self._key(model)) for model in models}
        local = [model for model in models if model.is_local]
        if not local:
            return endpoints, plan
        import asyncio

        from fusion_cli.local.engine import Engine

        now = asyncio.get_running_loop().time  # which stands still while the process does
        started, within_s = now(), plan.engine_has_s
        engine = await stack.enter_async_context(
            Engine(self.settings.models_dir, emit, own_model=self.settings.local_model, within_s=within_s)
        )
        for model in local:
            slots = max(1, sum(panelist.model == model for panelist in plan.panel))
            endpoints[model] = await engine.serve(model.slug, slots)
        took_s = 0.0 if within_s is None else now() - started
        return endpoints, plan._replace(waited_s=plan.waited_s + took_s)

    def obtain_keys(self, models: Collection[ModelName], within_s: float | None) -> float:
        """Open the key files and run the key commands of these models' providers, each once; return how long it took.

        Args:
            models: Those that may be asked.
            within_s: How long all of it may take; None is as long as a command may.

        Raises:
            ConfigError: A file cannot be used.
            CredentialError: A command failed, or printed no key.
            UnreachableError: The time was over.
        """
        from time import monotonic

        started = monotonic()
        for name in sorted({model.provider for model in models}):
            left = None if within_s is None else max(0.0, within_s - (monotonic() - started))
            obtain_key(self.settings.providers[name], self.terminal.note, left)
        return round(monotonic() - started, 3)

    def _key(self, model: ModelName) -> str | None:
        return obtain_key(self.settings.providers[model.provider])

    def _endpoint(self, model: ModelName, api_key: str | None) -> Endpoint:
        """Return where a model's provider is."""
        provider = self.settings.providers[model.provider]
        return Endpoint(
            provider.base_url,
            api_key,
            _OPENROUTER_HEADERS if provider.is_openrouter else (),
            provider.key_hint,
            has_catalogue=provider.is_openrouter,
        )

    def _warm_up(self) -> None:
        """Import what is needed after the first response while the network is waited for."""
        import asyncio
        import gc

        def import_what_follows() -> None:
            for name in ("judging", "analysis", "synthesis", "budget"):
                import_module(f"fusion_cli.{name}")
            if self.looks.draws:
                import_module("rich.markdown")

        gc.enable()
        asyncio.get_running_loop().run_in_executor(None, import_what_follows)
