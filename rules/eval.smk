MEASURED = {"base": "base", "dapt": "dapt/model", "sft": "sft/model"}


rule evaluate:
    input:
        action("evaluation/{model}.json"),
        **probed,
        model=lambda wildcards: artifact(MEASURED[wildcards.model]),
        domain=artifact("corpus/domain", "test.jsonl"),
        general=artifact("corpus/general", "test.jsonl"),
        instructions=artifact("instructions/splits", "test.jsonl"),
    output:
        sealed("evaluation/{model}.json"),
    wildcard_constraints:
        model="|".join(MEASURED),
    params:
        **parameters(settings.evaluation, template=settings.sft.template),
    resources:
        **site.cpu,
        typical_seconds=8,
        gflop=estimates.evaluation_gflop,
        typical_bytes=100_000,
    threads: settings.evaluation.threads
    log:
        "logs/evaluation/{model}.log",
    conda:
        "../envs/nemo.yaml"
    container:
        nemo_image
    shell:
        build("scripts/evaluate.py")
