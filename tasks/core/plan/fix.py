"""The desired state of a fix: one key or module now, and a file that keeps it unless another file does already."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from tasks.core.boot.files import MODULES, files_in_order
from tasks.core.errors import ProfileError, RemoteError, UsageError
from tasks.core.facts import Facts, FileFact
from tasks.core.kernel import same_module, same_value
from tasks.core.ownfiles import FIX_PROFILE, MODULES_PATH, SYSCTL_PATH, RenderedFile, assignments, with_header
from tasks.core.plan.desired import Desired, resolve
from tasks.core.profile.profile import Profile, RenderedProfile, render
from tasks.core.profile.template import Source
from tasks.core.sanitize import UNSAFE_CHARACTERS, sanitize

FIX_NAME = FIX_PROFILE
MODULES_FILE, SYSCTL_FILE = MODULES_PATH.format(FIX_NAME), SYSCTL_PATH.format(FIX_NAME)


def parse_item(text: str) -> RenderedProfile:
    """Parse `KEY=VALUE` or `MODULE` as the admin typed it. Raise UsageError for anything else."""
    if "=" not in text and ("." in text or "/" in text):
        raise UsageError(f"expected KEY=VALUE or MODULE, got {text!r}: a key needs its value")
    source = Source("fix", text, template=False)
    try:
        rendered = render(Profile(FIX_NAME, None, source) if "=" in text else Profile(FIX_NAME, source, None), {})
    except ProfileError as error:
        raise UsageError(error.problem) from error
    if len([*rendered.sysctl_entries(), *rendered.module_entries()]) != 1:
        raise UsageError(f"expected one KEY=VALUE or one MODULE, got {text!r}")
    return rendered


def fix_desired(rendered: RenderedProfile, facts: Facts, *, persist: bool) -> Desired:
    """Return the desired state of a fix: the running value, and if persist, the file that keeps it."""
    state = resolve([rendered], facts)
    files = _keys_file(state, facts) if rendered.sysctl else _modules_file(state, facts)
    return state._replace(files=files if persist else ())


def _keys_file(state: Desired, facts: Facts) -> tuple[RenderedFile, ...]:
    """Return the file of fixes with this key in it, unless the files of our profiles keep the key already."""
    lines = assignments(_own_lines(SYSCTL_FILE, facts))
    by_profiles = _assigned_by_profiles(facts)
    for setting in state.settings:
        lines.pop(setting.key, None)
        if not same_value(setting.key, by_profiles.get(setting.key, ""), setting.value):
            lines[setting.key] = setting.value
    return _fix_file(SYSCTL_FILE, [f"{key} = {value}" for key, value in lines.items()], facts)


def _own_lines(path: str, facts: Facts) -> tuple[str, ...]:
    """Return the lines of a file of fixes, which are written again. Raise RemoteError if one has control characters."""
    lines = facts.lines(path)
    if bad := next((line for line in lines if UNSAFE_CHARACTERS.search(line)), None):
        raise RemoteError(f"{path} has control characters: {sanitize(bad)[:80]}", "correct that line on the node")
    return lines


def _assigned_by_profiles(facts: Facts) -> dict[str, str]:
    found: dict[str, str] = {}
    for path in sorted(facts.files):
        if fnmatchcase(path, SYSCTL_PATH.format("*")) and path != SYSCTL_FILE:
            found |= assignments(facts.lines(path))
    return found


def _modules_file(state: Desired, facts: Facts) -> tuple[RenderedFile, ...]:
    """Return the file of fixes with this module in it, unless a file of modules-load.d names it already."""
    mine = [line for line in _own_lines(MODULES_FILE, facts) if not line.startswith("#")]
    others = {line for file in files_in_order(facts.files, MODULES) for line in _others(file)}
    new = [name for name in state.modules if not any(same_module(name, line) for line in [*others, *mine])]
    return _fix_file(MODULES_FILE, [*mine, *new], facts)


def _others(file: FileFact) -> list[str]:
    return [text.strip() for _, text in file.lines] if file.path != MODULES_FILE else []


def _fix_file(path: str, lines: Sequence[str], facts: Facts) -> tuple[RenderedFile, ...]:
    """Return the file, or none where there is nothing to keep and no such file on the node."""
    return (with_header(path, FIX_NAME, lines),) if lines or path in facts.files else ()
