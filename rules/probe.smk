rule probe:
    input:
        action("probe.json"),
    output:
        sealed("probe.json"),
    params:
        packages=settings.container.packages if nemo_image else locked_versions,
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
