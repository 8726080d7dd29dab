rule fetch:
    input:
        action("sources/{source}"),
    output:
        sealed("sources/{source}"),
    wildcard_constraints:
        source="|".join(map(re.escape, settings.sources)),
    params:
        record=lambda wildcards: settings.sources[wildcards.source].identity(),
        plugins=lambda wildcards: [settings.kind_module(wildcards.source)],
        fetches=True,
    localrule: True  # compute nodes often have no access to the network
    log:
        "logs/sources/{source}.log",
    conda:
        "../envs/data.yaml"
    shell:
        build("scripts/fetch.py")
