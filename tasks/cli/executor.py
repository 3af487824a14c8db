"""FleetExecutor hands a whole fleet to one task of stock `fab`: fabric.yaml beside the fabfile names it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import fabric
import invoke

from tasks.core.verb import Verb


class FleetTask(invoke.Task):  # type: ignore[misc] # invoke publishes no types
    """A task that is called once with all of -H, not once for each host. It also answers to the verb's old words."""

    def __init__(self, body: Callable[..., None], verb: Verb, flag_help: Mapping[str, str]) -> None:
        old_names = [old for old, new in verb.old_words if new == verb.name]
        super().__init__(body, aliases=old_names, help=dict(flag_help), auto_shortflags=False)
        self.verb = verb

    def get_arguments(self, ignore_unknown_help: bool | None = None) -> list[Any]:
        """Return the flags, each with its old names."""
        arguments: list[Any] = super().get_arguments(ignore_unknown_help)
        for argument in arguments:
            flag = f"--{argument.name.replace('_', '-')}"
            argument.names += tuple(old.removeprefix("--") for old, new in self.verb.old_words if new == flag)
        return arguments


class CoreFlags(NamedTuple):
    """fab's own flags and tasks, as far as a fleet task needs them. patterns: the words of -H; verbs: all, by name."""

    patterns: str = ""
    dry: bool = False
    verbs: Mapping[str, Verb] = {}


class FleetContext(invoke.Context):  # type: ignore[misc]
    """The context of a FleetTask: fabric's configuration, and fab's own flags."""

    def __init__(self, config: Any, core: CoreFlags) -> None:
        super().__init__(config)
        self._set(core=core)

    def run(self, *_: Any, **__: Any) -> Any:
        """Raise TypeError: it would run on the admin's own machine."""
        raise TypeError("a fleet task has no c.run(): it works on the selected hosts")

    sudo = run


class FleetCall(invoke.Call):  # type: ignore[misc]
    """A call of a FleetTask that carries fab's own flags."""

    def __init__(self, *args: Any, core: CoreFlags = CoreFlags(), **kwargs: Any) -> None:  # noqa: B008 # immutable
        super().__init__(*args, **kwargs)
        self.core = core

    def clone_data(self) -> dict[str, Any]:
        """Return the arguments from which a copy of this call is made."""
        return {**super().clone_data(), "core": self.core}

    def make_context(self, config: Any) -> FleetContext:
        """Return the context that the task's body gets."""
        return FleetContext(config, self.core)


class FleetExecutor(fabric.Executor):  # type: ignore[misc]
    """fabric's executor, but a task is never repeated for each host: a fleet task gets them all, others need none."""

    def expand_calls(self, calls: list[Any], apply_hosts: bool = True) -> list[Any]:
        """Return the calls to make, in order; pre- and post-tasks around their own."""
        del apply_hosts
        if self.core.remainder:
            raise invoke.Exit("commands after -- are not supported: use ssh, or `fab lab.ssh`", code=2)
        expanded = []
        for given in calls:
            call = invoke.Call(given) if isinstance(given, invoke.Task) else given
            expanded += [*self.expand_calls(call.pre), self._for_fleet(call), *self.expand_calls(call.post)]
        return expanded

    def _for_fleet(self, call: Any) -> Any:
        if not isinstance(call.task, FleetTask):
            return call
        own = self.core[0].args
        verbs = {name: task.verb for name, task in self.collection.tasks.items() if isinstance(task, FleetTask)}
        core = CoreFlags(own.hosts.value or "", bool(own.dry.value), verbs)
        return call.clone(into=FleetCall, with_={"core": core})
