rule corpus_domain:
    input:
        action("corpus/domain"),
        sources=lambda wildcards: [artifact(f"sources/{name}") for name in settings.corpus.domain.sources],
    output:
        sealed("corpus/domain"),
    params:
        **parameters(
            settings.corpus.domain,
            licences={name: settings.sources[name].licence for name in settings.corpus.domain.sources},
        ),
    resources:
        **site.cpu,
    localrule: site.short(costs.seconds("corpus_domain"))
    log:
        "logs/corpus/domain.log",
    conda:
        wiring.reading_environment(settings.corpus.domain)
    shell:
        build("scripts/corpus_domain.py")


rule corpus_general:
    input:
        action("corpus/general"),
        sources=lambda wildcards: [artifact(f"sources/{name}") for name in settings.corpus.general.sources],
    output:
        sealed("corpus/general"),
    params:
        **parameters(
            settings.corpus.general,
            licences={name: settings.sources[name].licence for name in settings.corpus.general.sources},
        ),
    resources:
        **site.cpu,
    localrule: site.short(costs.seconds("corpus_general"))
    log:
        "logs/corpus/general.log",
    conda:
        wiring.reading_environment(settings.corpus.general)
    shell:
        build("scripts/corpus_general.py")
