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
    threads: 8
    log:
        "logs/problems/{problems}.log",
    conda:
        "../envs/rtl.yaml"
    shell:
        build("scripts/problems.py")
