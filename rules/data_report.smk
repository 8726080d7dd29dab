rule inspected:
    input:
        action("inspected/{set}"),
        rows=lambda wildcards: artifact(wildcards.set),
        encoded=lambda wildcards: [
            artifact(f"encoded/{name}") for name in scope.instructions if wildcards.set == f"instructions/{name}"
        ],
        tests=lambda wildcards: [artifact(file.artifact, file.path) for file in scope.held_out_from(wildcards.set)],
        tokenizer=artifact("tokenizer", settings.tokenizer.file_name),
    output:
        sealed("inspected/{set}"),
    wildcard_constraints:
        set="|".join(map(re.escape, scope.sets)),
    params:
        **scope.inspect_parameters(),
    resources:
        **site.cpu,
    threads: 8
    log:
        "logs/inspected/{set}.log",
    conda:
        "../envs/data.yaml"
    shell:
        build("scripts/inspected.py")


rule data_report:
    input:
        action("data_report"),
        inspected=lambda wildcards: [artifact(f"inspected/{name}") for name in scope.sets],
        reports=lambda wildcards: [artifact(name, "report.json") for name in scope.steps],
        tests=lambda wildcards: [artifact(file.artifact, file.path) for file in scope.held_out],
    output:
        sealed("data_report"),
    params:
        **parameters(scope.report),
    resources:
        **site.cpu,
    localrule: True
    log:
        "logs/data_report.log",
    conda:
        "../envs/data.yaml"
    shell:
        build("scripts/data_report.py")


rule gates:
    input:
        action("gates.json"),
        report=artifact("data_report", "report.json"),
    output:
        sealed("gates.json"),
    params:
        trained=scope.trained,
    resources:
        **site.cpu,
    localrule: True
    log:
        "logs/gates.json.log",
    conda:
        "../envs/data.yaml"
    shell:
        build("scripts/gates.py")
