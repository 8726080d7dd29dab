rule eval_report:
    input:
        action("eval_report"),
        **wiring.recall,
        **wiring.serving_checks,
        **panel.report_inputs,
        evaluations=lambda wildcards: [artifact(f"evaluation/{model}/{task}.json") for model, task in wiring.evaluated],
        contamination=lambda wildcards: [artifact(f"contamination/{task}.json") for task in settings.evaluations],
        models=lambda wildcards: [artifact(name) for name in settings.evaluation.models.values()],
        tokenizer=artifact("tokenizer", "report.json"),
        upstream=lambda wildcards: [artifact(name) for name in wiring.report_upstream],
    output:
        sealed("eval_report"),
    params:
        **wiring.report_parameters(planned, lambda: layer.lineage("eval_report"), training_versions),
    resources:
        **site.cpu,
    localrule: True
    log:
        "logs/eval_report.log",
    conda:
        "../envs/data.yaml"
    shell:
        build("scripts/eval_report.py")


rule eval_gates:
    input:
        action("eval_gates.json"),
        report=artifact("eval_report", "report.json"),
    output:
        sealed("eval_gates.json"),
    params:
        **parameters(settings.report.gates_job),
    resources:
        **site.cpu,
    localrule: True
    log:
        "logs/eval_gates.json.log",
    conda:
        "../envs/data.yaml"
    shell:
        build("scripts/eval_gates.py")
