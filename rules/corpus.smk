# with Arrow where a pattern asks for parquet files
corpus_environments = {
    part: (
        "../envs/corpus.yaml"
        if any(pattern.endswith(".parquet") for pattern in selection.include)
        else "../envs/data.yaml"
    )
    for part, selection in settings.corpus
}


rule corpus_domain:
    input:
        action("corpus/domain"),
        sources=[artifact(f"sources/{name}") for name in settings.corpus.domain.sources],
    output:
        sealed("corpus/domain"),
    params:
        **parameters(
            settings.corpus.domain,
            licences={name: settings.sources[name].licence for name in settings.corpus.domain.sources},
        ),
    resources:
        **site.cpu,
        typical_seconds=estimates.preparing_seconds(settings.corpus.domain.sources),
        typical_bytes=12_700_000,
    localrule: site.short(estimates.preparing_seconds(settings.corpus.domain.sources))
    log:
        "logs/corpus/domain.log",
    conda:
        corpus_environments["domain"]
    shell:
        build("scripts/corpus_domain.py")


rule corpus_general:
    input:
        action("corpus/general"),
        sources=[artifact(f"sources/{name}") for name in settings.corpus.general.sources],
    output:
        sealed("corpus/general"),
    params:
        **parameters(
            settings.corpus.general,
            licences={name: settings.sources[name].licence for name in settings.corpus.general.sources},
        ),
    resources:
        **site.cpu,
        typical_seconds=estimates.preparing_seconds(settings.corpus.general.sources),
        typical_bytes=6_500_000,
    localrule: site.short(estimates.preparing_seconds(settings.corpus.general.sources))
    log:
        "logs/corpus/general.log",
    conda:
        corpus_environments["general"]
    shell:
        build("scripts/corpus_general.py")
