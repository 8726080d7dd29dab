# The embedding model, its fine-tuning and dense indexes. The Snakefile includes these rules if retrieval names a model.
rule retrieval_embedder:
    input:
        action("retrieval/embedder"),
        source=artifact(f"sources/{settings.retrieval.embedder.source}"),
    output:
        sealed("retrieval/embedder"),
    resources:
        **site.cpu,
    localrule: site.short(costs.seconds("retrieval_embedder"))
    log:
        "logs/retrieval/embedder.log",
    conda:
        "../envs/serve.yaml"
    shell:
        build("scripts/retrieval_embedder.py")


rule retrieval_dense:
    input:
        action("retrieval/index/{model}"),
        passages=artifact("retrieval/passages"),
        model=artifact("retrieval/{model}"),
    output:
        sealed("retrieval/index/{model}"),
    wildcard_constraints:
        model="embedder|embedder_tuned",
    params:
        **parameters(settings.retrieval.dense),
    resources:
        **site.cpu,
    threads: settings.retrieval.embedder.threads
    log:
        "logs/retrieval/index/{model}.log",
    conda:
        "../envs/serve.yaml"
    shell:
        build("scripts/retrieval_dense.py")


if settings.retrieval.embedder.tuning:

    rule retrieval_tuning:
        input:
            action("retrieval/embedder_tuned"),
            model=artifact("retrieval/embedder"),
            questions=artifact("retrieval/questions", "train.jsonl"),
            passages=artifact("retrieval/passages", "train.jsonl"),
        output:
            sealed("retrieval/embedder_tuned"),
        params:
            **parameters(settings.retrieval.embedder.tuning),
        resources:
            **site.cpu,
        threads: settings.retrieval.embedder.tuning.threads
        log:
            "logs/retrieval/embedder_tuned.log",
        conda:
            "../envs/serve.yaml"
        shell:
            build("scripts/retrieval_tuning.py")
