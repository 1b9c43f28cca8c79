"""Chat templates of models are as little trusted as their weights: each comes to an end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tiny_models import CHAT_TEMPLATE, make_tokenizer

from lawtags_stack.chat import sandboxed
from lawtags_stack.chat.bounds import is_bounded
from lawtags_stack.chat.template import ChatTemplate, TemplateError
from lawtags_stack.sandbox.process import Sandbox

ENDLESS = (
    "{{ 10**(10**9) }}",
    "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
    "{{ '%999999999d' % 1 }}",
    "{{ messages[0].content.ljust(2000000000) }}",
    "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
)
UNBOUNDED = (
    *ENDLESS,
    "{{ lipsum(9999999) }}",
    "{% for a in messages %}{% for b in messages %}x{% endfor %}{% endfor %}",
    "{% for a in messages %}{{ messages | tojson }}{% endfor %}",
    "{% set all = messages %}{% for a in messages %}{{ all }}{% endfor %}",
    "{% for a in messages %}{% set all = messages %}{{ all }}{% endfor %}",
    "{% for a in messages recursive %}{{ loop(messages) }}{% endfor %}",
    "{% set x = 'a' %}{% set x = x ~ x %}{{ x }}",
    "{% set ns = namespace(x='a') %}{% for a in messages %}{% set ns.x = ns.x + ns.x %}{% endfor %}",
    "{{ messages | join(messages) }}",
    "{{ messages[0].content.replace('', 'xxxxxxxxx') }}",
    "{{ messages[0].content | indent(99999999) }}",
    "{% for",
)
BOUNDED = (
    CHAT_TEMPLATE,
    "{% for m in messages %}{% if loop.first and messages[0].role != 'system' %}x{% endif %}{{ m.content }}"
    "{% endfor %}",
    "{% for m in messages %}{% for part in m.content %}{{ part.text | trim }}{% endfor %}{% endfor %}",
    "{% for m in messages %}{% set c = m['content'].strip() %}{{ bos_token + c }}{% endfor %}",
)


class Silent:
    """Stands in for a tokenizer of transformers; only its template matters."""

    special_tokens_map = {"eos_token": "</s>"}  # noqa: RUF012

    def __init__(self, template: str) -> None:
        self.chat_template = template

    def get_chat_template(self, **_: Any) -> str:
        return self.chat_template


@pytest.mark.parametrize("template", UNBOUNDED)
def test_templates_that_might_not_end_are_told_from_others(template: str) -> None:
    assert not is_bounded(template)


@pytest.mark.parametrize("template", BOUNDED)
def test_usual_templates_are_rendered_as_ever(template: str) -> None:
    assert is_bounded(template)


@pytest.mark.parametrize("template", ENDLESS)
def test_a_template_without_end_is_an_error_and_the_next_one_is_rendered(template: str) -> None:
    made = ChatTemplate(Silent(template))
    made._sandbox = Sandbox(sandboxed.MODULE, patience=0.05)
    with pytest.raises(TemplateError, match=r"chat template .*(CPU time|memory|nested)"):
        made._raw([{"role": "user", "content": "law"}], None)
    made._tokenizer.chat_template = "{% set x = 'a' + 'b' %}{{ x }}{{ messages[0].content }}{{ eos_token }}"
    assert made._raw([{"role": "user", "content": "law"}], None) == "ablaw</s>"
    made._sandbox.stop()


def test_the_sandbox_renders_as_transformers_does(tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    make_tokenizer(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    messages = [{"role": "system", "content": "é"}, {"role": "user", "content": "law", "name": None}]
    templates = (
        CHAT_TEMPLATE,
        "{%- for m in messages %} {% generation %}{{ m | tojson(indent=2) }}{% endgeneration %}{% endfor %}",
        "{% for m in messages %}{% if loop.index0 == 1 %}{% break %}{% endif %}{{ m }}{% endfor %}\n",
        "{% set ns = namespace(n=0) %}{% for m in messages %}{% set ns.n = ns.n + 1 %}{% endfor %}{{ ns.n }}",
        "{{ dict(a=1) }}{{ tools is none }}{{ documents is none }}{{ bos_token }}{{ missing }}",
    )
    made = ChatTemplate(tokenizer)
    for template in templates:
        tokenizer.chat_template = template
        expected = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        assert made._sandboxed(template, messages, None, True) == expected
    made._sandbox.stop()
