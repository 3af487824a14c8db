"""Templates: line numbers, unknown names, and the mistakes that keep one from being rendered."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from tasks.core.errors import ProfileError
from tasks.core.profile.entries import SysctlEntry
from tasks.core.profile.profile import render
from tasks.core.profile.template import (
    MAX_RENDERED,
    Source,
    TemplateInputs,
    check_names,
    is_bounded,
    render_source,
    template_names,
)
from tasks.core.profile.variables import SAMPLE
from tests.support.builders import profile, rendered
from tests.support.profiles import profile_error

TEMPLATE_MISTAKES: Mapping[str, tuple[str, int, str]] = {
    "an undefined variable": ("# c\n\nvm.x = {{ nope }}\n", 3, "undefined: 'nope'"),
    "an undefined attribute": ("# c\nvm.x = {{ facts.nope }}\n", 2, "undefined: "),
    "an undefined variable after a block": ("{% if true %}\n# c\n{% endif %}\nvm.x = {{ nope }}\n", 4, "'nope'"),
    "a block never ended": ("# c\n{% if true %}\nvm.x = 1\n", 2, "template syntax"),
    "an end without a block": ("vm.x = 1\n{% endif %}\n", 2, "template syntax"),
    "a broken expression": ("# c\nvm.x = {{ 1 + }}\n", 2, "template syntax"),
    "an unknown filter": ("# c\nvm.x = {{ 1 | nope }}\n", 2, "template syntax"),
    "a division by zero": ("# c\n# d\nvm.x = {{ 1 // 0 }}\n", 3, "ZeroDivisionError"),
    "a wrong type": ("vm.x = {{ 'a' * 'b' }}\n", 1, "TypeError"),
    "a way out of the sandbox": ("\nvm.x = {{ ''.__class__.__mro__ }}\n", 2, "SecurityError"),
    "another file": ("{% include '/etc/passwd' %}\n", 1, ""),
    "a call that changes": ("vm.x = {{ [1].append(2) }}\n", 1, "SecurityError"),
}


@pytest.mark.parametrize("mistake", TEMPLATE_MISTAKES)
def test_a_template_that_does_not_render_is_reported_with_its_line(mistake: str) -> None:
    content, line, words = TEMPLATE_MISTAKES[mistake]
    error = profile_error(content, facts=dict(SAMPLE))
    assert error.line == line
    assert words in error.problem


BAD = "vm.x\n"


WHERE: Mapping[str, tuple[str, int]] = {
    "after a set": (f"{{% set a = 1 %}}\n{BAD}", 2),
    "after two sets": (f"{{% set a = 1 %}}\n{{% set b = 1 %}}\n# c\n{BAD}", 4),
    "after a comment of the template": (f"{{# a\nb #}}\n{BAD}", 3),
    "after an inline comment": (f"# a {{# b #}} c\n{BAD}", 2),
    "in a branch taken": (f"{{% if true %}}\n{BAD}{{% endif %}}\n", 2),
    "in an else": (f"{{% if false %}}\n# a\n{{% else %}}\n# b\n{BAD}{{% endif %}}\n", 5),
    "after a branch not taken": (f"{{% if false %}}\n# a\n# b\n{{% endif %}}\n{BAD}", 5),
    "in a loop": (f"{{% for n in [1, 2] %}}\n# {{{{ n }}}}\n{BAD}{{% endfor %}}\n", 3),
    "after a loop": (f"{{% for n in range(9) %}}\n# {{{{ n }}}}\n{{% endfor %}}\n{BAD}", 4),
    "after an empty loop": (f"{{% for n in [] %}}\n# {{{{ n }}}}\n{{% endfor %}}\n{BAD}", 4),
    "after an expression alone": (f"{{{{ '# a' }}}}\n{BAD}", 2),
    "as an expression alone": ("# a\n{{ 'vm.x' }}\n", 2),
    "after an expression that gives two lines": (f"{{{{ '# a\\n# b' }}}}\n{BAD}", 2),
    "after a block over three lines": (f"{{%\n set a = 1\n%}}\n{BAD}", 4),
    "after a raw block": (f"{{% raw %}}\n# {{{{ a }}}}\n{{% endraw %}}\n{BAD}", 4),
    "after blanks were cut": (f"# a\n\n{{%- if true %}}\n\n# b\n{{% endif %}}\n{BAD}", 7),
    "after blanks were cut behind": (f"{{% if true -%}}\n\n\n# b\n{{% endif %}}\n{BAD}", 6),
    "indented in a block": ("{% if true %}\n  {% if true %}\n    vm.x\n  {% endif %}\n{% endif %}\n", 3),
    "after an inline if": (f"# {{% if true %}}a{{% endif %}} b\n{BAD}", 2),
    "with windows line ends": ("# a\r\n{% if true %}\r\n# b\r\n{% endif %}\r\nvm.x\r\n", 5),
    "in the last line without an end": ("{# a #}\n\nvm.x", 3),
}


@pytest.mark.parametrize("place", WHERE)
def test_a_line_is_counted_in_the_template_not_in_what_it_rendered(place: str) -> None:
    content, line = WHERE[place]
    error = profile_error(content)
    assert (error.line, "vm.x" in error.problem) == (line, True)


def test_entries_know_their_line_too() -> None:
    found = rendered(sysctl="{% set a = 1 %}\n{% for n in [1, 2] %}\nvm.x{{ n }} = 1\n{% endfor %}\nvm.y = 2\n")
    assert [(entry.key, entry.line) for entry in found.sysctl_entries()] == [("vm.x1", 3), ("vm.x2", 3), ("vm.y", 5)]


def test_a_variable_cannot_smuggle_in_marks_of_lines() -> None:
    error = profile_error("# c\nvm.x = {{ value }}\n", value="\0007\0 \0")
    assert (error.line, "control character" in error.problem) == (7, True) or error.line == 2


@pytest.mark.parametrize(
    ("content", "line", "name"),
    [
        ("# c\nvm.x = {{ nope }}\n", 2, "nope"),
        ("{% if false %}\n# c\nvm.x = {{ nope }}\n{% endif %}\n", 3, "nope"),
        ("{% if kube_proxy_mod == 'ipvs' %}\n{% endif %}\n", 1, "kube_proxy_mod"),
        ("{% for n in nodez %}\n{% endfor %}\n", 1, "nodez"),
        ("{% if true %}\n{% else %}\n\n# {{ other | int }}\n{% endif %}\n", 4, "other"),
        ("{# {{ fine }} #}\n{{ one }}\n{{ two }}\n", 2, "one"),
    ],
)
def test_a_name_that_nobody_defines_is_found_in_branches_not_taken_too(content: str, line: int, name: str) -> None:
    with pytest.raises(ProfileError) as caught:
        check_names(Source("t/sysctl.conf.j2", content), {"facts", "kube_proxy_mode"})
    assert (caught.value.line, f"{name!r}" in caught.value.problem) == (line, True)


@pytest.mark.parametrize(
    "content",
    [
        "vm.x = {{ facts.cpus }}\n",
        "{% if mode is defined %}\n# {{ mode }}\n{% endif %}\n",
        "{% if mode is not defined %}\n{% endif %}\n",
        "# {{ mode | default('ipvs') }}\n",
        "# {{ mode | d(1) }}\n",
        "{% set mine = 1 %}\n# {{ mine }}\n",
        "{% for n in range(3) %}\n# {{ n }} {{ loop.index }}\n{% endfor %}\n",
        "{% macro line(key) %}\n{{ key }} = 1\n{% endmacro %}\n{{ line('vm.x') }}\n",
        "# no names at all\n",
    ],
)
def test_known_guarded_and_own_names_are_fine(content: str) -> None:
    check_names(Source("t", content), {"facts"})


def test_the_names_of_a_plain_file_are_nobodys_business() -> None:
    check_names(Source("t", "{{ nope }}", template=False), ())


def test_a_template_that_is_none_is_reported_when_its_names_are_asked_for() -> None:
    with pytest.raises(ProfileError, match=r"t:2: template syntax"):
        check_names(Source("t", "# c\n{% if %}\n"), ())


def test_a_block_at_the_end_of_a_line_does_not_join_it_with_the_next() -> None:
    """jinja2's trim_blocks would: `vm.x = 1vm.y = 2`."""
    found = rendered(
        "vm.x = {% if true %}1{% endif %}\nvm.y = 2\n{% for n in [1, 2] %}\nvm.z{{ n }} = 3\n{% endfor %}\n"
    )
    assert [(entry.key, entry.value, entry.line) for entry in found.sysctl_entries()] == [
        ("vm.x", "1", 1),
        ("vm.y", "2", 2),
        ("vm.z1", "3", 4),
        ("vm.z2", "3", 4),
    ]


@pytest.mark.parametrize("template", [True, False], ids=["template", "plain"])
@pytest.mark.parametrize(
    ("content", "lines"),
    [("", 0), ("# a", 1), ("# a\n", 1), ("# a\n# b\n", 2), ("# a\n\n", 2), ("\n# a\n", 2)],
)
def test_a_file_has_as_many_lines_as_it_was_written_with(content: str, lines: int, template: bool) -> None:
    found = render(profile(content, template=template), {})
    assert len(found.sysctl or ()) == lines
    assert found.modules is None


def test_a_plain_file_is_taken_as_it_is_with_braces_and_all() -> None:
    found = render(profile("# {{ not_a_variable }} {% nor a block %}\nvm.x = 1\n", template=False), {})
    assert found.sysctl == ("# {{ not_a_variable }} {% nor a block %}", SysctlEntry(2, "vm.x", "1", False, False))


@pytest.mark.parametrize("template", [True, False], ids=["template", "plain"])
def test_windows_line_ends_do_no_harm(template: bool) -> None:
    found = render(profile("# a\r\nvm.x = 1\r\nvm.y = 2\r\n", template=template), {})
    assert found.sysctl == ("# a", SysctlEntry(2, "vm.x", "1", False, False), SysctlEntry(3, "vm.y", "2", False, False))


@pytest.mark.parametrize(
    "text",
    [
        "vm.x = 1\n",
        "{% if a | default('x') == 'x' %}\nvm.x = {{ b.c // 4 }}\n{% endif %}\n",
        "{% set x = 3 %}\nvm.x = {{ x - 1 }}\n",
        "{% if %}",
        "{{ " + "(" * 10_000,
    ],
)
def test_a_template_of_plain_expressions_is_bounded(text: str) -> None:
    assert is_bounded(Source("t", text))


@pytest.mark.parametrize(
    "text",
    [
        "{{ lipsum(n=100000000) }}",
        "{% for a in range(9) %}{% endfor %}",
        "{% macro m() %}{{ m() }}{% endmacro %}",
        "{{ 'x' * 1000000000 }}",
        "{{ 9 ** 9 ** 9 }}",
        "{{ '%999999999d' % 1 }}",
        "{% set x = x ~ x %}",
        "{% set x = x + x %}",
        "{% set x = [x, x] %}",
        "{{ 1.5 | round(999999999) }}",
        "{{ 'x' | center(999999999) }}",
        "{{ 'x'.ljust(999999999) }}",
        "{% set x %}{{ x }}{{ x }}{% endset %}",
        "{{ x }}" * 1000,
        "# " * 100_000,
    ],
)
def test_a_template_that_can_make_much_out_of_little_is_not_bounded(text: str) -> None:
    assert not is_bounded(Source("t", text))


def test_the_shipped_templates_are_bounded_and_cost_no_process() -> None:
    files = sorted((Path(__file__).parents[4] / "templates").glob("*/*.j2"))
    assert files
    assert [file.name for file in files if not is_bounded(Source("t", file.read_text(encoding="utf-8")))] == []


def test_a_plain_file_is_bounded() -> None:
    assert is_bounded(Source("t", "{{ lipsum(n=100000000) }}", template=False))


def test_a_template_that_renders_too_much_is_refused() -> None:
    with pytest.raises(ProfileError, match=rf"^t: expected at most {MAX_RENDERED} rendered characters, got 1048577"):
        render_source(Source("t", "{{ x }}"), {"x": "x" * (MAX_RENDERED + 1)})


def test_a_template_that_is_nested_too_deeply_is_a_mistake() -> None:
    with pytest.raises(ProfileError, match="template syntax: expected fewer levels"):
        template_names(Source("t", "{{ " + "(" * 10_000))


@pytest.mark.parametrize("value", [{1: "a", "b": 2}, {(1, 2): 3}, {None: 1, "x": 2}])
def test_keys_that_json_cannot_sort_are_no_obstacle(value: object) -> None:
    assert TemplateInputs({"x": value}) == TemplateInputs({"x": value})
    assert TemplateInputs({"x": value}) != TemplateInputs({"x": 1})
    assert render(profile("vm.x = {{ x | length }}\n"), {"x": value}).sysctl is not None
