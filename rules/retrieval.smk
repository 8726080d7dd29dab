# Retrieval: passages, questions about held-out cores, indexes and their recall. The Snakefile includes these rules if
# the configuration has the section.
rule retrieval_passages:
    input:
        action("retrieval/passages"),
        corpora=lambda wildcards: [artifact(f"corpus/{name}") for name in settings.retrieval.corpora],
    output:
        sealed("retrieval/passages"),
    params:
        **parameters(settings.retrieval.passages),
    resources:
        **site.cpu,
    localrule: site.short(costs.seconds("retrieval_passages"))
    log:
        "logs/retrieval/passages.log",
    conda:
        "../envs/data.yaml"
    shell:
        build("scripts/retrieval_passages.py")


rule retrieval_questions:
    input:
        action("retrieval/questions"),
        rows=artifact(f"instructions/{settings.retrieval.questions}"),
        corpora=lambda wildcards: [artifact(f"corpus/{name}") for name in settings.retrieval.corpora],
        passages=artifact("retrieval/passages"),
    output:
        sealed("retrieval/questions"),
    params:
        **parameters(settings.retrieval_questions),
    resources:
        **site.cpu,
    localrule: site.short(costs.seconds("retrieval_questions"))
    log:
        "logs/retrieval/questions.log",
    conda:
        "../envs/data.yaml"
    shell:
        build("scripts/retrieval_questions.py")


rule retrieval_bm25:
    input:
        action("retrieval/index/bm25"),
        passages=artifact("retrieval/passages"),
    output:
        sealed("retrieval/index/bm25"),
    params:
        **parameters(settings.retrieval.index),
    resources:
        **site.cpu,
    log:
        "logs/retrieval/index/bm25.log",
    conda:
        "../envs/serve.yaml"
    shell:
        build("scripts/retrieval_bm25.py")


rule retrieval_recall:
    input:
        action("retrieval/recall.json"),
        questions=artifact("retrieval/questions", "test.jsonl"),
        indexes=lambda wildcards: [artifact(f"retrieval/index/{name}") for name in settings.retrieval.systems],
    output:
        sealed("retrieval/recall.json"),
    params:
        **parameters(settings.retrieval_recall),
    resources:
        **site.cpu,
    log:
        "logs/retrieval/recall.json.log",
    conda:
        "../envs/serve.yaml"
    shell:
        build("scripts/retrieval_recall.py")
