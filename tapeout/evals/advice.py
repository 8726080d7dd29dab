"""Suggestions of the report: which training made a measure worse, and which keys of the configuration to change."""

from tapeout.evals.section import Adapted, Comparison, Step, Suggestion
from tapeout.evals.wording import outcome, percent, points


def change_in_words(comparison: Comparison, step: Step) -> str:
    """Return a change with its sign: relative where the measure states it so, else in points or per cent of nothing."""
    measure = comparison.measure
    if measure.percent:
        return points(comparison.changes[step].value)
    if step in comparison.relative:
        return percent(comparison.relative[step].value, signed=True)
    return f"{comparison.changes[step].value:+.3f}"


def worst_step(comparison: Comparison, adapted: Adapted) -> Step | None:
    """Return the two models between which a measure got worse most, of the base, the pretrained and the shipped one.

    Returns:
        None if the base or the shipped model is not evaluated.
    """
    if adapted.step is None:
        return None
    (base, shipped), between = adapted.step, adapted.pretrained
    steps = [adapted.step] if between in (None, base, shipped) else [(base, between or ""), (between or "", shipped)]
    sign = 1 if comparison.measure.lower_is_better else -1
    return max(steps, key=lambda step: sign * comparison.changes[step].value)


def forgetting(comparison: Comparison, adapted: Adapted) -> list[Suggestion]:
    """Suggest what to change where the adaptation made something worse that the base model could do."""
    if adapted.step is None or outcome(comparison, comparison.changes[adapted.step]) != "bad":
        return []
    worst = worst_step(comparison, adapted)
    assert worst is not None, "base and shipped model are evaluated"
    finding = f"{comparison.measure.label}: {change_in_words(comparison, adapted.step)}"
    if worst != adapted.step:
        (base, shipped), between = adapted.step, adapted.pretrained or ""
        finding += f" ({in_steps(comparison, (base, between), (between, shipped))})"
    text = f"Make the training of {worst[1]} gentler: {gentler(adapted, worst[1])}."
    if worst[1] == adapted.pretrained:
        text += " More general text also helps: raise `dapt.general_fraction`."
    elif adapted.sections.get(worst[1]) == "sft":
        text += " An adapter forgets less: `methods.lora` and `export.model: lora/merged`."
    return [Suggestion(finding, text)]


def in_steps(comparison: Comparison, *steps: Step) -> str:
    """Return the change of each step; relative changes are factors, so they do not add up to that of all steps."""
    return ", ".join(f"{' → '.join(step)} {change_in_words(comparison, step)}" for step in steps)


def gentler(adapted: Adapted, model: str) -> str:
    """Return the keys by which a model's training changes its weights less."""
    section = adapted.sections.get(model)
    return f"lower `{section}.lr` or `{section}.max_steps`" if section else "lower its learning rate or train less"


def longer(adapted: Adapted, model: str) -> str:
    """Return the keys by which a model's training learns more."""
    section = adapted.sections.get(model)
    return f"raise `{section}.max_steps` or `{section}.lr`" if section else "train longer"
