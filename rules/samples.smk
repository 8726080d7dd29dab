rule samples:
    input:
        action("samples/{model}/{task}/{part}.jsonl"),
        **wiring.after_probe,
        **wiring.chat_template,
        model=lambda wildcards: artifact(settings.evaluation.models[wildcards.model]),
        data=lambda wildcards: [
            artifact(*file)
            for file in settings.evaluations[wildcards.task].sampler_files(int(wildcards.part)).values()
        ],
    output:
        sealed("samples/{model}/{task}/{part}.jsonl"),
    wildcard_constraints:
        model="|".join(settings.evaluation.models),
        task=wiring.sampled_tasks,
        part="[0-9]+",
    params:
        **wiring.samples_parameters,
    resources:
        **site.evaluation(settings.evaluation),
    threads: settings.evaluation.threads
    log:
        "logs/samples/{model}/{task}/{part}.jsonl.log",
    conda:
        wiring.evaluation_environment
    container:
        nemo_image
    shell:
        build("scripts/samples.py")


rule judge:
    input:
        action("evaluation/{model}/{task}.json"),
        samples=lambda wildcards: [
            artifact(f"samples/{wildcards.model}/{wildcards.task}/{part}.jsonl")
            for part in range(settings.evaluations[wildcards.task].parts)
        ],
        data=lambda wildcards: [artifact(*file) for file in settings.evaluations[wildcards.task].files.values()],
    output:
        sealed("evaluation/{model}/{task}.json"),
    wildcard_constraints:
        model="|".join(settings.evaluation.models),
        task=wiring.sampled_tasks,
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
