rule lora:
    input:
        action("lora/adapter"),
        **wiring.after_probe,
        **wiring.after_gates,
        model=artifact("nemo/base.nemo"),
        base=artifact("base_extended"),
        encoded=lambda wildcards: [artifact(f"encoded/{name}") for name in sorted(settings.instructions.train)],
    output:
        sealed("lora/adapter"),
    params:
        **parameters(settings.methods["lora"]),
        plugins=["tapeout.train.methods.lora", settings.base.family_module],
    resources:
        **site.gpu_nodes(settings.methods["lora"]),
    threads: settings.methods["lora"].threads * settings.methods["lora"].layout.devices
    log:
        "logs/lora/adapter.log",
    conda:
        wiring.training_environment(settings.methods["lora"])
    container:
        nemo_image
    shell:
        build("scripts/lora.py")
