"""The composition root: makes settings, terminal, model client and sinks for a command, and carries its plan out.

The only place that knows all walls at once; nothing heavy is imported before it is needed.
"""

from __future__ import annotations

import os
from contextlib import AsyncExitStack, contextmanager
from functools import cached_property
from importlib import import_module
from typing import TYPE_CHECKING, TypeVar

from fusion_cli import settings as settings_module
from fusion_cli.errors import SIGNALS, InterruptError
from fusion_cli.events import fan_out
from fusion_cli.planning import Machine
from fusion_cli.terminal import Terminal

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path

    from fusion_cli.api.client import Endpoint
    from fusion_cli.chat import ModelClient, ModelName
    from fusion_cli.events import Emit
    from fusion_cli.plan import Plan
    from fusion_cli.results import Run
    from fusion_cli.settings import Settings
    from fusion_cli.sinks.keeper import Keeper

    Story = Callable[[Plan, ModelClient, Emit], Awaitable["R"]]

R = TypeVar("R", bound="Run")

_OPENROUTER_HEADERS = {"X-Title": "fusion"}


class Context:
    """What the commands share in one process.

    Args:
        config_flag: What the global `--config` named.
    """

    def __init__(self, config_flag: Path | None) -> None:
        self._config_flag = config_flag
        self.terminal = Terminal()

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

        return Machine(engine_installed, memory_is_short)

    def carry_out(self, story: Story[R], plan: Plan, *, show_answer: bool = False) -> R:
        """Run a story over the network and return its run, with the signal that ended it as its cause.

        Args:
            story: `pipeline.ask` and its kind.
            plan: What to do.
            show_answer: Whether the answer goes to standard output as it comes.

        Raises:
            FusionError: The run could not be started, or a signal ended it before it was.
        """
        import asyncio

        from fusion_cli.sinks.keeper import Keeper
        from fusion_cli.sinks.plain import PlainSink

        plain = PlainSink(self.terminal, show_answer=show_answer)
        keeper = Keeper(plan.prompt.text(), self.settings.runs_dir)
        delivered = False
        try:
            run = asyncio.run(self._carry_out(story, plan, fan_out([keeper, plain])))
            delivered = run.cause is None
        finally:
            plain.close()
            if not delivered:
                self._save(keeper)
        return run

    async def _carry_out(self, story: Story[R], plan: Plan, emit: Emit) -> R:
        import asyncio

        async def work() -> R:
            from fusion_cli.api.client import ChatClient

            async with AsyncExitStack() as stack:
                endpoints = await self._endpoints(plan, emit, stack)
                client = await stack.enter_async_context(ChatClient(endpoints, on_first_request=_warm_up))
                return await story(plan, client, emit)
            raise AssertionError("the stack swallows nothing")

        task = asyncio.create_task(work())
        with _cancelling(task) as signals:
            try:
                run = await task
            except asyncio.CancelledError:
                raise InterruptError(signals[0]) from None
        if signals:
            run.because(InterruptError(signals[0]))
        return run

    async def _endpoints(self, plan: Plan, emit: Emit, stack: AsyncExitStack) -> dict[ModelName, Endpoint]:
        """Return where each model is served; the embedded ones are started for that."""
        from fusion_cli.api.client import Endpoint

        endpoints = {}
        for model in plan.models:
            provider = self.settings.providers[model.provider]
            headers = _OPENROUTER_HEADERS if provider.is_openrouter else {}
            endpoints[model] = Endpoint(provider.base_url, provider.api_key, headers)
        local = [model for model in plan.models if self.settings.providers[model.provider].is_local]
        if local:
            from fusion_cli.local.engine import Engine

            engine = await stack.enter_async_context(
                Engine(self.settings.models_dir, emit, own_model=self.settings.local_model)
            )
            for model in local:
                slots = max(1, sum(panelist.model.provider == model.provider for panelist in plan.panel))
                started = await engine.serve(model.slug, slots)
                endpoints[model] = Endpoint(started.base_url, started.api_key)
        return endpoints

    def _save(self, keeper: Keeper) -> None:
        """Keep what the panel said when the run did not deliver it; say where."""
        try:
            path = keeper.save()
        except OSError as error:
            self.terminal.note(f"warning: the panel's responses could not be kept: {error.strerror}")
            return
        if path:
            self.terminal.note(f"The panel's responses are kept: fusion judge {path}")


def _warm_up() -> None:
    """Import what is needed after the first response while the network is waited for."""
    import asyncio
    import gc

    gc.enable()
    asyncio.get_running_loop().run_in_executor(None, import_module, "fusion_cli.analysis")


@contextmanager
def _cancelling(task: asyncio.Task[R]) -> Iterator[list[int]]:
    """Have the first signal cancel the task, and a second one end the process; yield the signals that came."""
    signals: list[int] = []

    def on_signal(signum: int) -> None:
        if signals:
            os._exit(128 + signum)
        signals.append(signum)
        task.cancel()

    loop = task.get_loop()
    try:
        for signum in SIGNALS:
            loop.add_signal_handler(signum, on_signal, signum)
    except NotImplementedError:  # Windows: Ctrl-C arrives as an exception instead
        yield signals
        return
    try:
        yield signals
    finally:
        for signum in SIGNALS:
            loop.remove_signal_handler(signum)
