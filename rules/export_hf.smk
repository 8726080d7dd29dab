rule export_hf:
    input:
        action("export/hf"),
        **wiring.after_probe,
        **wiring.base_licences,
        **wiring.chat_template,
        **wiring.licensed_text,
        model=artifact(wiring.exported),
        rows=lambda wildcards: [artifact(f"instructions/{name}") for name in sorted(settings.instructions.train)],
        encoded=lambda wildcards: [artifact(f"encoded/{name}") for name in sorted(settings.instructions.train)],
        texts=lambda wildcards: [artifact(f"corpus/{name}", "test.jsonl") for name in ("domain", "general")],
    output:
        sealed("export/hf"),
    params:
        **parameters(
            settings.export.accuracy,
            **wiring.prompts,
            **wiring.attributions,
            card=wiring.card,
            trained_on={name: settings.sources[name].attribution for name in settings.trained_sources},
        ),
        plugins=[settings.base.family_module],
    resources:
        **site.cpu,
    log:
        "logs/export/hf.log",
    conda:
        "../envs/nemo.yaml"
    container:
        nemo_image
    shell:
        build("scripts/export_hf.py")
