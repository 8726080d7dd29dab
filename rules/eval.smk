MEASURED = {"base": "base", "dapt": "dapt/model", "sft": "sft/model"}


rule evaluate:
    input:
        action("evaluation/{model}.json"),
        **wiring.after_probe,
        model=lambda wildcards: artifact(MEASURED[wildcards.model]),
        domain=artifact("corpus/domain", "test.jsonl"),
        general=artifact("corpus/general", "test.jsonl"),
        instructions=artifact("instructions/rtl", "test.jsonl"),
    output:
        sealed("evaluation/{model}.json"),
    wildcard_constraints:
        model="|".join(MEASURED),
    params:
        **parameters(settings.evaluation, template=settings.sft.template),
    resources:
        **site.cpu,
    threads: settings.evaluation.threads
    log:
        "logs/evaluation/{model}.log",
    conda:
        "../envs/nemo.yaml"
    container:
        nemo_image
    shell:
        build("scripts/evaluate.py")
