rule export_gguf:
    input:
        action("export/model.gguf"),
        **wiring.chat_template,
        model=artifact("export/hf"),
        rows=lambda wildcards: [artifact(f"instructions/{name}") for name in sorted(settings.instructions.train)],
        encoded=lambda wildcards: [artifact(f"encoded/{name}") for name in sorted(settings.instructions.train)],
        texts=lambda wildcards: [artifact(f"corpus/{name}", "test.jsonl") for name in ("domain", "general")],
    output:
        sealed("export/model.gguf"),
    params:
        **parameters(
            settings.export.accuracy,
            gguf_dtype=settings.export.gguf_dtype,
            **wiring.prompts,
        ),
        plugins=wiring.gguf_modules,
    resources:
        **site.cpu,
    log:
        "logs/export/model.gguf.log",
    conda:
        "../envs/nemo.yaml"
    shell:
        build("scripts/export_gguf.py")
