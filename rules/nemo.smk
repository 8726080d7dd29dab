rule nemo_base:
    input:
        action("nemo/base.nemo"),
        base=artifact("base_extended"),
    output:
        sealed("nemo/base.nemo"),
    resources:
        typical_seconds=20,
    log:
        "logs/nemo/base.log",
    conda:
        "../envs/nemo.yaml"
    shell:
        build("scripts/nemo_base.py")
