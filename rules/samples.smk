rule samples:
    input:
        action("samples/{model}/{task}.jsonl"),
        **wiring.after_probe,
        **wiring.chat_template,
        model=lambda wildcards: artifact(settings.evaluation.models[wildcards.model]),
        data=lambda wildcards: [artifact(*file) for file in settings.evaluations[wildcards.task].sampler_files.values()],
    output:
        sealed("samples/{model}/{task}.jsonl"),
    wildcard_constraints:
        model="|".join(settings.evaluation.models),
        task=wiring.task_names(sampled=True),
    params:
        **wiring.samples_parameters,
    resources:
        **site.evaluation(settings.evaluation),
    threads: settings.evaluation.threads
    log:
        "logs/samples/{model}/{task}.jsonl.log",
    conda:
        wiring.evaluation_environment
    container:
        nemo_image
    shell:
        build("scripts/samples.py")


rule judge:
    input:
        action("evaluation/{model}/{task}.json"),
        samples=artifact("samples/{model}/{task}.jsonl"),
        data=lambda wildcards: [artifact(*file) for file in settings.evaluations[wildcards.task].files.values()],
    output:
        sealed("evaluation/{model}/{task}.json"),
    wildcard_constraints:
        model="|".join(settings.evaluation.models),
        task=wiring.task_names(sampled=True),
    params:
        **wiring.judge_parameters,
    resources:
        **site.cpu,
    threads: 8
    log:
        "logs/evaluation/{model}/{task}.json.log",
    conda:
        "../envs/rtl.yaml"
    shell:
        build("scripts/judge.py")
