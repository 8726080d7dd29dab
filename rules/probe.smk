rule probe:
    input:
        action("probe.json"),
    output:
        sealed("probe.json"),
    params:
        packages=training_versions,
    resources:
        **site.cpu,
    log:
        "logs/probe.json.log",
    conda:
        "../envs/nemo.yaml"
    container:
        nemo_image
    shell:
        build("scripts/probe.py")
