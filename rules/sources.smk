rule fetch:
    input:
        action("sources/{source}"),
    output:
        sealed("sources/{source}"),
    params:
        record=lambda wildcards: settings.sources[wildcards.source].identity(),
    resources:
        typical_seconds=lambda wildcards: estimates.download_seconds(wildcards.source),
        typical_bytes=lambda wildcards: estimates.source_bytes(wildcards.source),
        download_bytes=lambda wildcards: estimates.download_bytes(wildcards.source),
    localrule: True  # compute nodes often have no way to the outside
    log:
        "logs/sources/{source}.log",
    conda:
        "../envs/data.yaml"
    shell:
        build("scripts/fetch.py")
