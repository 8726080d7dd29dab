rule contamination:
    input:
        action("contamination/{task}.json"),
        data=lambda wildcards: [artifact(*file) for file in settings.evaluations[wildcards.task].searched.values()],
        training=lambda wildcards: [artifact(*file) for file in wiring.trained_text],
    output:
        sealed("contamination/{task}.json"),
    wildcard_constraints:
        task="|".join(map(re.escape, settings.evaluations)),
    params:
        **wiring.contamination_parameters,
    resources:
        **site.cpu,
    threads: 8
    log:
        "logs/contamination/{task}.json.log",
    conda:
        "../envs/data.yaml"
    shell:
        build("scripts/contamination.py")
