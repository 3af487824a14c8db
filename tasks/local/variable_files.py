"""Find and read the variable files of group_vars/ and host_vars/, by the rules of Ansible's host_group_vars.

Their YAML is that of Ansible: SafeLoader's with !unsafe and !vault. A file costs a bounded time and memory, whatever is
in it; each error names the file and, where it has one, the line.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import yaml

from tasks.core.errors import InventoryError
from tasks.core.inventory.inventory import Variable
from tasks.core.inventory.variables import UnsafeText
from tasks.local.files import display_path, read_text

EXTENSIONS = ("", ".yml", ".yaml", ".json")
MAX_BYTES = 512 * 1024  # 5 s of PyYAML; Kubespray's largest file of variables has 20 kB
MAX_DEPTH = 50
MAX_NODES = 50_000  # with each alias counted as what it repeats
MAX_NUMBER = 400  # characters; PyYAML takes quadratic time for 1:1:1:1…

_TAG = "tag:yaml.org,2002:"
_ENCRYPTED = object()  # a value of Ansible's vault, which counts as not set


def read_variables(folder: Path, names: Iterable[str]) -> dict[str, dict[str, Variable]]:
    """Return {name: variables} from a folder for the groups or hosts of these names. Raise InventoryError."""
    if not folder.is_dir():
        return {}
    found = {name: _merged(find_files(folder, name)) for name in names}
    return {name: variables for name, variables in found.items() if variables}


def find_files(folder: Path, name: str) -> list[Path]:
    """Return the first of NAME, NAME.yml, NAME.yaml and NAME.json that exists, or the files in it if it is a folder.

    A name that leads out of the folder has none: Ansible reads /etc/x for a group that is called ../../etc/x.
    """
    path = PurePosixPath(name)
    if path.is_absolute() or not path.parts or ".." in path.parts:
        return []
    for extension in EXTENSIONS:
        candidate = f"{folder / name}{extension}"
        if os.path.isdir(candidate):  # noqa: PTH112 # unlike Path's, it takes names of any length
            return list(_files_below(Path(candidate), set()))
        if os.path.exists(candidate):  # noqa: PTH110 # likewise
            return [Path(candidate)]
    return []


def _files_below(folder: Path, seen: set[str]) -> Iterator[Path]:
    """Yield the variable files of a folder in Ansible's order: no hidden file, no backup, no folder like conf.d."""
    real = os.path.realpath(folder)
    if real in seen:  # a link that leads back
        return
    seen.add(real)
    for path in sorted(_entries(folder)):
        if path.name.startswith(".") or path.name.endswith("~"):
            continue
        if path.is_dir() and not path.suffix:
            yield from _files_below(path, seen)
        elif path.is_file() and path.suffix in EXTENSIONS:
            yield path


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError as error:
        raise InventoryError(display_path(folder), 0, f"cannot be read: {error.strerror}") from error


def _merged(files: Iterable[Path]) -> dict[str, Variable]:
    variables: dict[str, Variable] = {}
    for file in files:
        variables.update(read_file(file))
    return variables


def read_file(path: Path) -> dict[str, Variable]:
    """Return a file's variables without the encrypted ones. Raise InventoryError."""
    source = display_path(path)
    if not path.is_file():
        raise InventoryError(source, 0, "expected a file or a folder, got something else")
    if (size := path.stat().st_size) > MAX_BYTES:
        raise InventoryError(source, 0, f"expected at most {MAX_BYTES} bytes, got {size}")
    text = read_text(path, InventoryError)
    return {} if text.startswith("$ANSIBLE_VAULT") else parse_variables(text, source)


def parse_variables(text: str, source: str) -> dict[str, Variable]:
    """Return the variables of a YAML text. source: the file's path. Raise InventoryError."""
    loader = None
    try:
        loader = _Loader(text)
        root = loader.get_single_node()
        return dict(_variables(loader, root, source)) if root else {}
    except yaml.reader.ReaderError as error:
        line = text[: error.position].count("\n") + 1
        raise InventoryError(source, line, f"not YAML: character #x{error.character:04x} is not allowed") from error
    except yaml.MarkedYAMLError as error:
        raise _marked_error(error, source) from error
    except RecursionError:
        raise InventoryError(source, loader.line + 1 if loader else 0, _too_deep()) from None
    finally:
        if loader:
            loader.dispose()


def _marked_error(error: yaml.MarkedYAMLError, source: str) -> InventoryError:
    """Return the error without the piece of the file that PyYAML's own text shows: it may hold a password."""
    mark = error.problem_mark or error.context_mark
    problem = " ".join(text for text in (error.context, error.problem) if text)
    return InventoryError(source, mark.line + 1 if mark else 0, f"not YAML: {problem}")


def _too_deep() -> str:
    return f"expected at most {MAX_DEPTH} levels in each other, got more"


def _variables(loader: _Loader, root: yaml.Node, source: str) -> Iterator[tuple[str, Variable]]:
    if not isinstance(root, yaml.MappingNode):
        value = _construct(loader, root, source, "the file")
        if value is not None:
            raise InventoryError(source, 1, f"expected `name: value` lines, got a {type(value).__name__}")
        return
    loader.flatten_mapping(root)
    for key_node, value_node in root.value:
        name = str(_construct(loader, key_node, source, "a name"))
        value = _construct(loader, value_node, source, name)
        if value is not _ENCRYPTED:
            yield name, Variable(value, source, key_node.start_mark.line + 1)


def _construct(loader: _Loader, node: yaml.Node, source: str, name: str) -> object:
    line = node.start_mark.line + 1
    try:
        return _Simplifier().simplify(loader.construct_object(node, deep=True)).value
    except RecursionError:
        raise InventoryError(source, line, f"{name}: {_too_deep()}") from None
    except (ValueError, TypeError, OverflowError, ArithmeticError) as error:  # 2024-13-45, a number of 5,000 digits
        raise InventoryError(source, line, f"{name}: {error}") from error


class _Loader(yaml.SafeLoader):
    """SafeLoader with Ansible's tags, and limits for nodes, levels and merged keys, which multiply in each `<<`."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._nodes = self._depth = self._merged = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Return the next node. Raise ComposerError for too many nodes or levels."""
        self._nodes, self._depth = self._nodes + 1, self._depth + 1
        if self._nodes > MAX_NODES or self._depth > MAX_DEPTH:
            problem = _too_deep() if self._depth > MAX_DEPTH else f"expected at most {MAX_NODES} values, got more"
            raise yaml.composer.ComposerError(None, None, problem, self.peek_event().start_mark)  # type: ignore[no-untyped-call]
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Replace `<<` by the keys that it merges. Raise ConstructorError for more than MAX_NODES of them in a file."""
        merged = [value for key, value in node.value if key.tag == f"{_TAG}merge"]
        mappings = [each for value in merged for each in (value.value if _is_sequence(value) else [value])]
        mappings = [each for each in mappings if isinstance(each, yaml.MappingNode)]
        for mapping in {id(each): each for each in mappings}.values():
            self.flatten_mapping(mapping)
        self._merged += sum(len(each.value) + 1 for each in mappings)
        if self._merged > MAX_NODES:
            problem = f"expected at most {MAX_NODES} merged keys, got more"
            raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark)
        super().flatten_mapping(node)

    def construct_yaml_number(self, node: yaml.ScalarNode) -> object:
        """Return a number. Raise ConstructorError for one of more than MAX_NUMBER characters."""
        if len(node.value) > MAX_NUMBER:
            problem = f"expected a number of at most {MAX_NUMBER} characters"
            raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark)
        return self.construct_yaml_int(node) if node.tag == f"{_TAG}int" else self.construct_yaml_float(node)

    def construct_yaml_members(self, node: yaml.MappingNode) -> list[object]:
        """Return the members of a !!set in the order of the file."""
        return list(self.construct_mapping(node, deep=True))

    def construct_unsafe(self, node: yaml.Node) -> object:
        """Return the value of !unsafe: Ansible does not look for `{{ }}` in its texts."""
        if isinstance(node, yaml.ScalarNode):
            return UnsafeText(self.construct_scalar(node))
        if isinstance(node, yaml.MappingNode):
            return _as_unsafe(self.construct_mapping(node, deep=True))
        return _as_unsafe(self.construct_sequence(node, deep=True)) if isinstance(node, yaml.SequenceNode) else None


def _is_sequence(node: yaml.Node) -> bool:
    return isinstance(node, yaml.SequenceNode)


def _as_unsafe(value: object) -> object:
    if isinstance(value, dict):
        return {key: _as_unsafe(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_as_unsafe(item) for item in value]
    return UnsafeText(value) if isinstance(value, str) else value


for _kind in ("int", "float"):
    _Loader.add_constructor(f"{_TAG}{_kind}", _Loader.construct_yaml_number)
for _tag in ("!vault", "!vault-encrypted"):
    _Loader.add_constructor(_tag, lambda _loader, _node: _ENCRYPTED)
_Loader.add_constructor(f"{_TAG}set", _Loader.construct_yaml_members)
_Loader.add_constructor("!unsafe", _Loader.construct_unsafe)


class _Simplifier:
    """One value made of the types that variables have: texts, numbers, lists and dictionaries.

    Aliases are counted as often as they stand, and looked at once.
    """

    def __init__(self) -> None:
        self._done: dict[int, tuple[object, _Sized]] = {}  # by id: the value, which keeps its id, and the result

    def simplify(self, value: object) -> _Sized:
        """Return the value. Raise ValueError for one that is too deep or too large."""
        if not isinstance(value, (dict, list, tuple, set)):
            return _Sized(_simple(value), 1, 0)
        if id(value) not in self._done:
            result = self._dictionary(value) if isinstance(value, dict) else self._list(value)
            if result.height > MAX_DEPTH:
                raise ValueError(_too_deep())
            if result.size > MAX_NODES:
                raise ValueError(f"expected at most {MAX_NODES} values, aliases counted, got more")
            self._done[id(value)] = value, result
        return self._done[id(value)][1]

    def _dictionary(self, value: Mapping[object, object]) -> _Sized:
        """Return a dictionary without its encrypted values."""
        items = {_simple(key): self.simplify(item) for key, item in value.items()}
        kept = {key: item.value for key, item in items.items() if _ENCRYPTED not in (key, item.value)}
        return _Sized.around(kept, items.values())

    def _list(self, value: Iterable[object]) -> _Sized:
        """Return a list. One with an encrypted value counts as encrypted: without it the others would move up."""
        items = [self.simplify(item) for item in value]
        kept = [item.value for item in items]
        return _Sized.around(_ENCRYPTED if any(item is _ENCRYPTED for item in kept) else kept, items)


class _Sized(NamedTuple):
    """A simplified value, the number of values in it, and the number of levels below it."""

    value: object
    size: int
    height: int

    @classmethod
    def around(cls, value: object, items: Collection[_Sized]) -> _Sized:
        """Return a value that holds some others."""
        return cls(value, 1 + sum(item.size for item in items), 1 + max((item.height for item in items), default=0))


def _simple(value: object) -> object:
    """Return a scalar as it is, and dates and bytes as text."""
    if value is None or value is _ENCRYPTED or isinstance(value, (str, int, float)):
        return value
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
