rule fetch:
    input:
        action("sources/{source}"),
    output:
        sealed("sources/{source}"),
    params:
        record=lambda wildcards: settings.sources[wildcards.source].identity(),
    resources:
        typical_seconds=1,
    log:
        "logs/sources/{source}.log",
    conda:
        "../envs/data.yaml"
    shell:
        build("scripts/fetch.py")
