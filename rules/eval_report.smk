rule eval_report:
    input:
        action("eval_report"),
        **reporting.recall,
        **reporting.serving_checks,
        **panel.report_inputs,
        evaluations=lambda wildcards: [
            artifact(f"evaluation/{model}/{task}.json") for model, task in reporting.evaluated
        ],
        contamination=lambda wildcards: [artifact(f"contamination/{task}.json") for task in settings.evaluations],
        models=lambda wildcards: [artifact(name) for name in settings.evaluation.models.values()],
        tokenizer=artifact("tokenizer", "report.json"),
        upstream=lambda wildcards: [artifact(name) for name in reporting.upstream],
    output:
        sealed("eval_report"),
    params:
        **reporting.parameters(planned, lambda: layer.lineage("eval_report"), training_versions),
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
