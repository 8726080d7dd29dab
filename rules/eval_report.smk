rule eval_report:
    input:
        action("eval_report"),
        **wiring.recall,
        **wiring.serving_checks,
        evaluations=lambda wildcards: [artifact(f"evaluation/{model}/{task}.json") for model, task in wiring.evaluated],
        models=lambda wildcards: [artifact(name) for name in settings.evaluation.models.values()],
        tokenizer=artifact("tokenizer", "report.json"),
        upstream=lambda wildcards: [artifact(name) for name in wiring.report_upstream],
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
