rule merged:
    input:
        action("{method}/merged"),
        model=artifact("base_extended"),
        adapter=lambda wildcards: artifact(f"{wildcards.method}/adapter"),
    output:
        sealed("{method}/merged"),
    wildcard_constraints:
        method=wiring.adapter_methods,
    params:
        plugins=[settings.base.family_module],
    resources:
        **site.cpu,
    log:
        "logs/{method}/merged.log",
    conda:
        "../envs/nemo.yaml"
    shell:
        build("scripts/merged.py")
