rule dpo:
    input:
        action("dpo/model"),
        **wiring.after_probe,
        **wiring.after_gates,
        model=artifact("sft/model"),
        template=artifact("sft/model", "prompt_template.json"),
        pairs=lambda wildcards: [artifact(f"sources/{name}") for name in sorted(settings.methods["dpo"].read_sources)],
    output:
        sealed("dpo/model"),
    params:
        **parameters(settings.methods["dpo"]),
        plugins=["tapeout.train.methods.dpo"],
    resources:
        **site.gpu_nodes(settings.methods["dpo"]),
    threads: settings.methods["dpo"].threads * settings.methods["dpo"].layout.devices
    log:
        "logs/dpo/model.log",
    conda:
        wiring.training_environment(settings.methods["dpo"])
    container:
        nemo_image
    shell:
        build("scripts/dpo.py")
