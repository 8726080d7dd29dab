rule export_nemo:
    input:
        action("export/mcore.nemo"),
        **wiring.after_probe,
        **wiring.chat_template,
        model=artifact(wiring.exported),
        rows=lambda wildcards: [artifact(f"instructions/{name}") for name in sorted(settings.instructions.train)],
        exported=artifact("export/hf"),
    output:
        sealed("export/mcore.nemo"),
    params:
        **parameters(settings.export.accuracy, encoding=settings.encoding().identity()),
        plugins=[settings.base.family_module],
    resources:
        **site.cpu,
    log:
        "logs/export/mcore.nemo.log",
    conda:
        "../envs/nemo.yaml"
    container:
        nemo_image
    shell:
        build("scripts/export_nemo.py")
