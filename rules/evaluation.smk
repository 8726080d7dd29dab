rule evaluate:
    input:
        action("evaluation/{model}/{task}.json"),
        **wiring.after_probe,
        **wiring.chat_template,
        model=lambda wildcards: artifact(panel.scored_models[wildcards.model]),
        data=lambda wildcards: [artifact(*file) for file in settings.evaluations[wildcards.task].files.values()],
    output:
        sealed("evaluation/{model}/{task}.json"),
    wildcard_constraints:
        model=pattern_of(panel.scored_models),
        task=wiring.scored_tasks(apart=False),
    params:
        **wiring.evaluate_parameters,
    resources:
        **site.evaluation(settings.evaluation),
    threads: settings.evaluation.threads
    log:
        "logs/evaluation/{model}/{task}.json.log",
    conda:
        wiring.evaluation_environment
    container:
        nemo_image
    shell:
        build("scripts/evaluate.py")


# tasks whose libraries are in an environment of their own, which no container has
rule evaluate_apart:
    input:
        action("evaluation/{model}/{task}.json"),
        **wiring.chat_template,
        model=lambda wildcards: artifact(settings.evaluation.models[wildcards.model]),
        data=lambda wildcards: [artifact(*file) for file in settings.evaluations[wildcards.task].files.values()],
    output:
        sealed("evaluation/{model}/{task}.json"),
    wildcard_constraints:
        model="|".join(settings.evaluation.models),
        task=wiring.scored_tasks(apart=True),
    params:
        **wiring.evaluate_parameters,
    resources:
        **site.cpu,
    threads: settings.evaluation.threads
    log:
        "logs/evaluation/{model}/{task}.json.log",
    conda:
        wiring.scoring_environment
    shell:
        build("scripts/evaluate_apart.py")
