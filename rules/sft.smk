rule sft:
    input:
        action("sft/model"),
        **wiring.after_probe,
        **wiring.after_gates,
        model=artifact("dapt/model"),
        encoded=lambda wildcards: [artifact(f"encoded/{name}") for name in sorted(settings.instructions.train)],
    output:
        sealed("sft/model"),
    params:
        **parameters(settings.sft),
        plugins=["tapeout.train.methods.sft"],
    resources:
        **site.gpu_nodes(settings.sft),
    threads: settings.sft.threads * settings.sft.layout.devices
    log:
        "logs/sft/model.log",
    conda:
        wiring.training_environment(settings.sft)
    container:
        nemo_image
    shell:
        build("scripts/sft.py")
