rule nemo_base:
    input:
        action("nemo/base.nemo"),
        base=artifact("base_extended"),
    output:
        sealed("nemo/base.nemo"),
    resources:
        **site.cpu,
        parameters=estimates.extended.parameters,
        typical_seconds=estimates.copying_seconds(20),
        typical_bytes=estimates.extended_bytes,
    log:
        "logs/nemo/base.log",
    conda:
        "../envs/nemo.yaml"
    shell:
        build("scripts/nemo_base.py")
