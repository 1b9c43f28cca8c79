"""Work of strangers in the sandbox: whatever it does, it ends, says why, and the next work is done."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lawtags_client.errors import BadRequestError, LawtagsError, ResourceLimitError
from lawtags_stack.sandbox.process import Sandbox, SandboxStoppedError
from lawtags_stack.services.evaluator import sandboxed
from lawtags_stack.services.evaluator.metrics import judge_scores
from lawtags_stack.services.evaluator.templates import render

TIME, MEMORY, OUTPUT = "CPU time", "memory", "produces more than"


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(sandboxed.MODULE, patience=0.1) as made:
        yield made


def rendered(sandbox: Sandbox, template: Any, **item: Any) -> Any:
    return sandbox.call("render", {"template": template, "item": item, "place": "row 7"})


@pytest.mark.parametrize(
    ("template", "limit"),
    [
        ("{{ 10**(10**9) }}", TIME),
        ("{{ 7**(7**(7**7)) }}", TIME),
        ("{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}", TIME),
        ("{% for a in range(99999) %}{{ 'x' * 9999 }}{% endfor %}", OUTPUT),
        ("{{ 'x' * 99999999 }}", f"{TIME}|{MEMORY}|{OUTPUT}"),
        ("{{ '%999999999d' % 1 }}", MEMORY),
        ("{{ '{:>999999999}'.format(1) }}", MEMORY),
        ("{{ 'x'.ljust(2000000000) }}", MEMORY),
        ("{{ [0] * 2000000000 }}", MEMORY),
        ("{{ 'x' | center(2000000000) }}", MEMORY),
        ("{% macro f(n) %}{{ f(n + 1) }}{% endmacro %}{{ f(0) }}", "nested too deeply"),
    ],
)
def test_a_template_that_needs_too_much_ends_and_is_named(
    sandbox: Sandbox, template: str, limit: str
) -> None:
    with pytest.raises(ResourceLimitError, match=limit) as caught:
        rendered(sandbox, {"messages": [{"content": template}]})
    assert template[:20] in caught.value.message.replace("\\", "")
    assert "row 7" in caught.value.message
    assert rendered(sandbox, "{{ a }}-{{ item.a }}", a=1) == "1-1"


@pytest.mark.parametrize("pattern", [r"(a+)+$", r"(a|a)*$", r"(\w+\s?)*$", r"(a*)*b"])
def test_a_pattern_that_backtracks_without_end_is_named(sandbox: Sandbox, pattern: str) -> None:
    argument = {"text": "a" * 60 + "!", "scores": {"s": {"parser": {"pattern": pattern}}}, "place": "row 3"}
    with pytest.raises(ResourceLimitError, match=TIME) as caught:
        sandbox.call("judged", argument)
    assert repr(pattern) in caught.value.message
    assert "'s'" in caught.value.message and "row 3" in caught.value.message


def test_values_that_are_nested_too_deeply_are_refused(sandbox: Sandbox) -> None:
    deep: Any = 1
    for _ in range(5000):
        deep = [deep]
    with pytest.raises(ResourceLimitError, match="nested"):
        rendered(sandbox, "{{ item.a | tojson }}", a=deep)
    assert rendered(sandbox, "{{ a }}", a=2) == "2"


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)
_TEMPLATES = st.one_of(
    st.text(max_size=40),
    st.builds("{{{{ item.a {} }}}}".format, st.sampled_from(["", "| tojson", "| upper", "[0]", ".b", "* 3"])),
    _JSON,
)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(template=_TEMPLATES, value=_JSON)
def test_the_sandbox_gives_what_the_work_gives_outside(sandbox: Sandbox, template: Any, value: Any) -> None:
    try:
        expected = render(template, {"a": value, "item": {"a": value}, "sample": {}})
    except BadRequestError as error:
        with pytest.raises(BadRequestError) as caught:
            rendered(sandbox, template, a=value)
        assert caught.value.message == error.message
    else:
        assert rendered(sandbox, template, a=value) == expected


def test_a_process_that_was_killed_is_replaced_and_the_work_done(sandbox: Sandbox) -> None:
    assert rendered(sandbox, "{{ a }}", a=1) == "1"
    process = sandbox._process
    assert process is not None
    process.kill()
    process.wait()
    assert rendered(sandbox, "{{ a }}", a=2) == "2"


def test_a_sandbox_that_is_dropped_leaves_no_process_and_no_open_file() -> None:
    dropped = Sandbox(sandboxed.MODULE)
    rendered(dropped, "{{ a }}", a=1)
    process, notes = dropped._process, dropped._notes
    assert process is not None and notes is not None
    del dropped
    gc.collect()
    assert process.returncode is not None
    assert notes.closed


def test_a_process_that_cannot_start_is_an_error_with_its_last_words() -> None:
    with (
        Sandbox("no.such.module") as broken,
        pytest.raises(LawtagsError, match=r"exited twice.*no\.such|exited twice.*No module"),
    ):
        broken.call("render", {})


def test_stop_ends_work_under_way() -> None:
    sandbox = Sandbox(sandboxed.MODULE, patience=1000)
    rendered(sandbox, "{{ a }}", a=1)
    errors: list[Exception] = []

    def work() -> None:
        try:
            rendered(sandbox, "{{ 10**(10**9) }}")
        except LawtagsError as error:
            errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    sandbox.stop()
    thread.join(60)
    assert not thread.is_alive()
    assert [type(error) for error in errors] == [SandboxStoppedError]
    with pytest.raises(SandboxStoppedError):
        rendered(sandbox, "{{ a }}", a=1)


@pytest.mark.parametrize("answer", ["inf", "-inf", "nan", "1e999", "", "no"])
def test_a_judge_whose_figure_is_no_number_gives_none(answer: str) -> None:
    scores = {"a": {"type": "int", "parser": {"pattern": r"SCORE: (\S+)|nothing"}}}
    for text in (f"SCORE: {answer}", "nothing"):
        found = judge_scores(text, scores)
        assert found["a"] != found["a"]
