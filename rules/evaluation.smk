rule evaluate:
    input:
        action("evaluation/{model}/{task}.json"),
        **wiring.after_probe,
        **wiring.chat_template,
        model=lambda wildcards: artifact(settings.evaluation.models[wildcards.model]),
        data=lambda wildcards: [artifact(*file) for file in settings.evaluations[wildcards.task].files.values()],
    output:
        sealed("evaluation/{model}/{task}.json"),
    wildcard_constraints:
        model="|".join(settings.evaluation.models),
        task=wiring.task_names(sampled=False),
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
