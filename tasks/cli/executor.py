"""How stock `fab` hands a whole fleet to one task: fabric.yaml beside the fabfile names FleetExecutor."""

from __future__ import annotations

from typing import Any

import fabric
import invoke


class FleetTask(invoke.Task):  # type: ignore[misc] # invoke publishes no types
    """A task that is called once with all of -H, not once for each host."""


class FleetContext(invoke.Context):  # type: ignore[misc]
    """What a FleetTask is given: fabric's configuration, the words of -H, and whether --dry was said."""

    def __init__(self, config: Any, patterns: str, dry: bool) -> None:
        super().__init__(config)
        self._set(patterns=patterns, dry=dry)

    def run(self, *_: Any, **__: Any) -> Any:
        """Refused: it would run on the admin's own machine."""
        raise TypeError("a fleet task has no c.run(): it works on the selected hosts")

    sudo = run


class FleetCall(invoke.Call):  # type: ignore[misc]
    """A call of a FleetTask that carries the words of -H."""

    def __init__(self, *args: Any, patterns: str = "", dry: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.patterns, self.dry = patterns, dry

    def clone_data(self) -> dict[str, Any]:
        """What a copy of this call is made from."""
        return {**super().clone_data(), "patterns": self.patterns, "dry": self.dry}

    def make_context(self, config: Any) -> FleetContext:
        """The context that the task's body gets."""
        return FleetContext(config, self.patterns, self.dry)


class FleetExecutor(fabric.Executor):  # type: ignore[misc]
    """fabric's executor, but a task is never repeated for each host: a fleet task gets them all, others need none."""

    def expand_calls(self, calls: list[Any], apply_hosts: bool = True) -> list[Any]:
        """The calls to make, in order; pre- and post-tasks around their own."""
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
        patterns = self.core[0].args.hosts.value or ""
        dry = bool(self.core[0].args.dry.value)
        return call.clone(into=FleetCall, with_={"patterns": patterns, "dry": dry})
