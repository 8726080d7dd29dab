rule nemo_base:
    input:
        action("nemo/base.nemo"),
        **wiring.after_probe,
        base=artifact("base_extended"),
    output:
        sealed("nemo/base.nemo"),
    resources:
        **site.cpu,
    log:
        "logs/nemo/base.log",
    conda:
        "../envs/nemo.yaml"
    container:
        nemo_image
    shell:
        build("scripts/nemo_base.py")
