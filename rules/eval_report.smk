rule eval_report:
    input:
        action("eval_report"),
        evaluations=[artifact(f"evaluation/{model}/{task}.json") for model, task in wiring.evaluated],
        models=[artifact(name) for name in settings.evaluation.models.values()],
        tokenizer=artifact("tokenizer", "report.json"),
        upstream=[artifact(name) for name in wiring.report_upstream],
    output:
        sealed("eval_report"),
    params:
        **wiring.report_parameters,
    resources:
        **site.cpu,
    localrule: True
    log:
        "logs/eval_report.log",
    conda:
        "../envs/data.yaml"
    shell:
        build("scripts/eval_report.py")
