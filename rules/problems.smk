rule problems:
    input:
        action("problems/{problems}"),
        source=artifact("sources/{problems}"),
    output:
        sealed("problems/{problems}"),
    wildcard_constraints:
        problems=wiring.problem_sets,
    params:
        **wiring.problems_parameters,
    resources:
        **site.cpu,
    localrule: site.short(costs.seconds("problems"))
    log:
        "logs/problems/{problems}.log",
    conda:
        "../envs/data.yaml"
    shell:
        build("scripts/problems.py")


rule checked:
    input:
        action("checked/{problems}.json"),
        problems=artifact("problems/{problems}", "problems.jsonl"),
    output:
        sealed("checked/{problems}.json"),
    wildcard_constraints:
        problems=wiring.problem_sets,
    params:
        **wiring.checked_parameters,
    resources:
        **site.cpu,
    threads: 8
    log:
        "logs/checked/{problems}.json.log",
    conda:
        "../envs/rtl.yaml"
    shell:
        build("scripts/checked.py")
