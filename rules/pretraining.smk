# A large corpus in shards. Each shard is cleaned and tokenized separately; only the blend and the comparison of
# signatures see all shards. The Snakefile includes these rules if the configuration names components.
rule pretraining_documents:
    input:
        action("pretraining/documents/{source}"),
        source=artifact("sources/{source}"),
    output:
        sealed("pretraining/documents/{source}"),
    wildcard_constraints:
        source="|".join(map(re.escape, settings.pretraining.sources)),
    params:
        **wiring.documents_parameters,
    resources:
        **site.cpu,
    threads: 8
    log:
        "logs/pretraining/documents/{source}.log",
    conda:
        "../envs/corpus.yaml"
    shell:
        build("scripts/pretraining_documents.py")


rule pretraining_shard:
    input:
        action("pretraining/shards/{shard}"),
        parts=lambda wildcards: [
            artifact(f"pretraining/documents/{name}", "{shard}.jsonl") for name in settings.pretraining.sources
        ],
    output:
        sealed("pretraining/shards/{shard}"),
    wildcard_constraints:
        shard="|".join(settings.pretraining.shard_names),
    params:
        **parameters(settings.pretraining.shard_job),
    resources:
        **site.cpu,
    log:
        "logs/pretraining/shards/{shard}.log",
    conda:
        "../envs/corpus.yaml"
    shell:
        build("scripts/pretraining_shard.py")


if settings.pretraining.near_duplicates:

    rule pretraining_near:
        input:
            action("pretraining/near"),
            signatures=lambda wildcards: [
                artifact(f"pretraining/shards/{name}", "signatures") for name in settings.pretraining.shard_names
            ],
        output:
            sealed("pretraining/near"),
        params:
            **parameters(settings.pretraining.near_duplicates, shards=settings.pretraining.shard_names),
        resources:
            **site.cpu,
        log:
            "logs/pretraining/near.log",
        conda:
            "../envs/corpus.yaml"
        shell:
            build("scripts/pretraining_near.py")


rule pretraining_tokens:
    input:
        action("pretraining/tokens/{shard}"),
        **wiring.near_duplicates,
        documents=artifact("pretraining/shards/{shard}", "documents.jsonl"),
        tokenizer=artifact("tokenizer", settings.tokenizer.file_name),
    output:
        sealed("pretraining/tokens/{shard}"),
    wildcard_constraints:
        shard="|".join(settings.pretraining.shard_names),
    params:
        append_eod=settings.pretraining.append_eod,
    resources:
        **site.cpu,
    log:
        "logs/pretraining/tokens/{shard}.log",
    conda:
        "../envs/corpus.yaml"
    shell:
        build("scripts/pretraining_tokens.py")


rule pretraining_blend:
    input:
        action("pretraining/blend.json"),
        reports=lambda wildcards: [
            artifact(f"pretraining/tokens/{name}", "report.json") for name in settings.pretraining.shard_names
        ],
    output:
        sealed("pretraining/blend.json"),
    params:
        **parameters(settings.pretraining.blend_job),
    resources:
        **site.cpu,
    localrule: True
    log:
        "logs/pretraining/blend.json.log",
    conda:
        "../envs/corpus.yaml"
    shell:
        build("scripts/pretraining_blend.py")
