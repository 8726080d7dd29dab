"""Jinja chat templates of exported models.

Each renders the prompts that the model was trained on, and raises for every other list of messages: other roles, tools,
another order of turns, or a text with a name that the tokenizer reserves, which a server would encode as that piece.
"""

import json
from collections.abc import Sequence

from tapeout.data.encode.chat import Marks

CHECK = (
    "{% macro check(text) %}"
    "{% if text is not string %}{{ raise_exception('The content of a message must be one text.') }}{% endif %}"
    "{% for name in reserved_names %}{% if name in text %}"
    "{{ raise_exception('A message contains ' + name + ', which the tokenizer or the prompt reserves.') }}"
    "{% endif %}{% endfor %}"
    "{% endmacro %}"
    "{% if tools or documents %}{{ raise_exception('The model was trained without tools and documents.') }}{% endif %}"
)
"""Definition of ``check(text)``, and refusal of what no template renders."""

PARTS = (
    "{% set checked = namespace(messages=[]) %}{% for message in messages %}"
    "{% if message['role'] not in ['system', 'user', 'assistant'] %}"
    "{{ raise_exception('The roles are system, user and assistant.') }}"
    "{% endif %}{{ check(message['content']) }}"
    "{% set part = {'role': message['role'], 'content': message['content']} %}"
    "{% set checked.messages = checked.messages + [part] %}{% endfor %}{% set messages = checked.messages %}\n"
)
"""Check of all messages, which keeps nothing of them but role and text, before the template of a base model.

It does not loop over the content of a message: vLLM would take that for a template of content parts, and give it lists.
"""

QUESTION = (
    "{% if messages | length != 1 or messages[0]['role'] != 'user' %}"
    "{{ raise_exception('The model was trained on single questions: give one message, of the role user.') }}"
    "{% endif %}{{ check(messages[0]['content']) }}"
    "{{ bos_token + before + messages[0]['content'] + between }}"
)

TURNS = (
    "{% set system_text = default_system %}{% set chat_turns = messages %}"
    "{% if messages and messages[0]['role'] == 'system' %}{{ check(messages[0]['content']) }}"
    "{% set system_text = messages[0]['content'] or default_system or '' %}{% set chat_turns = messages[1:] %}"
    "{% endif %}"
    "{% if system_text is none %}{{ raise_exception('Give a system message: the training had several.') }}{% endif %}"
    "{% for turn in chat_turns %}{% if turn['role'] != ['user', 'assistant'][loop.index0 % 2] %}"
    "{{ raise_exception('After a system message the roles must alternate: user, assistant, user.') }}"
    "{% endif %}{{ check(turn['content']) }}{% endfor %}"
    "{% if not chat_turns or add_generation_prompt and chat_turns[-1]['role'] != 'user' %}"
    "{{ raise_exception('The last message must have the role user.') }}"
    "{% endif %}"
)
"""Division of the messages into a system message, by default that of the training, and alternating turns."""

MARKED = (
    "{{ mark_system + 'System' + mark_end + system_text + mark_end }}"
    "{% for turn in chat_turns %}{{ mark_turn + ('User' if turn['role'] == 'user' else 'Assistant') + mark_end }}"
    "{% if turn['role'] == 'assistant' and turn['label'] %}"
    "{{ check(turn['label']) }}{{ mark_label + turn['label'] + mark_end }}"
    "{% endif %}{{ turn['content'] + mark_end }}{% endfor %}"
    "{% if add_generation_prompt %}{{ mark_turn + 'Assistant' + mark_end }}"
    "{% if label %}{{ check(label) }}{{ mark_label + label + mark_end }}{% endif %}"
    "{% elif chat_turns[-1]['role'] == 'assistant' %}{{ mark_turn }}{% endif %}"
)
"""Turns between marks; the ``label`` of an answer, and the variable ``label`` for the next one, are input."""

OWN = (
    "{% set checked = namespace(messages=[{'role': 'system', 'content': system_text}] if system_text else []) %}"
    "{% for turn in chat_turns %}{% set part = {'role': turn['role'], 'content': turn['content']} %}"
    "{% set checked.messages = checked.messages + [part] %}{% endfor %}{% set messages = checked.messages %}\n"
)
"""Line before a model's own template, which sees roles and texts of the messages and nothing else of them."""


def question_template(before: str, between: str, reserved: Sequence[str], bos: bool) -> str:
    """Return the template of single questions: bos, ``before``, the user's message, ``between``.

    Args:
        before: text before the question.
        between: text between question and answer.
        reserved: names that no message may contain.
        bos: whether the tokenizer has a piece that begins a text.
    """
    body = QUESTION if bos else QUESTION.replace("bos_token + ", "")
    return _with_values(CHECK + body, reserved_names=list(reserved), before=before, between=between)


def marked_template(marks: Marks, system: str | None, reserved: Sequence[str]) -> str:
    """Return the template of conversations whose turns are separated by marks.

    Args:
        marks: the marks.
        system: system message of conversations without one; None if there must be one.
        reserved: further names that no message may contain.
    """
    return _with_values(
        CHECK + TURNS + MARKED,
        reserved_names=[*reserved, marks.system, marks.turn, marks.label],
        default_system=system,
        mark_system=marks.system,
        mark_turn=marks.turn,
        mark_label=marks.label,
        mark_end=marks.end,
    )


def own_template(source: str, system: str | None, reserved: Sequence[str]) -> str:
    """Return a model's own chat template, preceded by the checks of the messages.

    Args:
        source: the template.
        system: system message of conversations without one; None if there must be one.
        reserved: names that no message may contain.
    """
    return _with_values(CHECK + TURNS + OWN, reserved_names=list(reserved), default_system=system) + source


def guarded_template(source: str, reserved: Sequence[str]) -> str:
    """Return the template of a base model that renders all rows, preceded by a check of roles and texts.

    Args:
        source: the template.
        reserved: names that no message may contain.
    """
    return _with_values(CHECK + PARTS, reserved_names=list(reserved)) + source


def _with_values(template: str, **values: str | list[str] | None) -> str:
    """Return a template after assignments of its variables.

    Jinja reads its literals like those of Python, so JSON without the escapes of non-ASCII characters is a literal.
    """
    literals = {
        name: "none" if value is None else json.dumps(value, ensure_ascii=False) for name, value in values.items()
    }
    return "".join(f"{{% set {name} = {literal} %}}" for name, literal in literals.items()) + template
