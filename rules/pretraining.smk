# A large corpus in shards: pretraining.shards of them, each of which is cleaned and tokenized by itself. Only the blend and
# the comparison of signatures see all shards. Without pretraining.components these rules are not read.
from tapeout.config.pretraining import DocumentsJob

shards = settings.pretraining.shard_names
near_duplicates = settings.pretraining.near_duplicates
near_lists = {"near": artifact("pretraining/near", "{shard}.jsonl")} if near_duplicates else {}


def of_source(name):
    return lambda wildcards: settings.pretraining.documents_job(
        wildcards.source, settings.sources[wildcards.source].licence
    )[name]


rule pretraining_documents:
    input:
        action("pretraining/documents/{source}"),
        source=artifact("sources/{source}"),
    output:
        sealed("pretraining/documents/{source}"),
    wildcard_constraints:
        source=r"[a-z0-9][a-z0-9._-]*",
    params:
        **{name: of_source(name) for name in DocumentsJob.model_fields},
    resources:
        **site.cpu,
        typical_seconds=lambda wildcards: estimates.reading_seconds(wildcards.source),
        typical_bytes=lambda wildcards: estimates.source_bytes(wildcards.source),
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
        parts=[artifact(f"pretraining/documents/{name}", "{shard}.jsonl") for name in settings.pretraining.sources],
    output:
        sealed("pretraining/shards/{shard}"),
    wildcard_constraints:
        shard=r"\d{4}",
    params:
        quality=settings.pretraining.quality.identity(),
        scrub=settings.pretraining.scrub.identity(),
        near_duplicates=near_duplicates and near_duplicates.signing.identity(),
    resources:
        **site.cpu,
        typical_seconds=estimates.cleaning_seconds,
        typical_bytes=estimates.shard_bytes,
    log:
        "logs/pretraining/shards/{shard}.log",
    conda:
        "../envs/corpus.yaml"
    shell:
        build("scripts/pretraining_shard.py")


rule pretraining_near:
    input:
        action("pretraining/near"),
        signatures=[artifact(f"pretraining/shards/{name}", "signatures") for name in shards],
    output:
        sealed("pretraining/near"),
    params:
        **(parameters(near_duplicates, shards=shards) if near_duplicates else {}),
    resources:
        **site.cpu,
        typical_seconds=estimates.comparing_seconds,
        typical_bytes=5000 * len(shards),
    log:
        "logs/pretraining/near.log",
    conda:
        "../envs/corpus.yaml"
    shell:
        build("scripts/pretraining_near.py")


rule pretraining_tokens:
    input:
        action("pretraining/tokens/{shard}"),
        **near_lists,
        documents=artifact("pretraining/shards/{shard}", "documents.jsonl"),
        tokenizer=artifact("tokenizer", "tokenizer.model"),
    output:
        sealed("pretraining/tokens/{shard}"),
    wildcard_constraints:
        shard=r"\d{4}",
    params:
        append_eod=settings.pretraining.append_eod,
    resources:
        **site.cpu,
        typical_seconds=estimates.tokenizing_seconds,
        typical_bytes=estimates.shard_bytes,
    log:
        "logs/pretraining/tokens/{shard}.log",
    conda:
        "../envs/corpus.yaml"
    shell:
        build("scripts/pretraining_tokens.py")


rule pretraining:
    input:
        action("pretraining/blend.json"),
        reports=[artifact(f"pretraining/tokens/{name}", "report.json") for name in shards],
    output:
        sealed("pretraining/blend.json"),
    params:
        weights={name: each.weight for name, each in sorted(settings.pretraining.components.items())},
        shards=shards,
    resources:
        **site.cpu,
        typical_seconds=2,
        typical_bytes=300 * len(shards),
    localrule: True
    log:
        "logs/pretraining/blend.log",
    conda:
        "../envs/corpus.yaml"
    shell:
        build("scripts/pretraining_blend.py")
