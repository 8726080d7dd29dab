rule sweep:
    input:
        action("sweep/report"),
        evaluations=lambda wildcards: sweep.evaluations,
        models=lambda wildcards: sweep.models,
    output:
        sealed("sweep/report"),
    params:
        **sweep.parameters,
    resources:
        **site.cpu,
    localrule: True
    log:
        "logs/sweep/report.log",
    conda:
        "../envs/data.yaml"
    shell:
        build("scripts/sweep.py")
