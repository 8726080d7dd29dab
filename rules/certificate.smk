rule certificate:
    input:
        action("export/certificate.json"),
        **wiring.chat_template,
        **wiring.exported_answers,
        model=artifact("export/hf"),
        rows=lambda wildcards: [artifact(f"instructions/{name}") for name in sorted(settings.instructions.train)],
        encoded=lambda wildcards: [artifact(f"encoded/{name}") for name in sorted(settings.instructions.train)],
        texts=lambda wildcards: [artifact(f"corpus/{name}", "test.jsonl") for name in ("domain", "general")],
    output:
        sealed("export/certificate.json"),
    params:
        **parameters(settings.export.accuracy, **wiring.prompts, max_new_tokens=wiring.max_new_tokens),
        plugins=[settings.base.family_module],
    resources:
        **site.cpu,
    log:
        "logs/export/certificate.json.log",
    conda:
        "../envs/serve.yaml"
    shell:
        build("scripts/certificate.py")
