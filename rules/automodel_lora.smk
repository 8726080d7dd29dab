rule automodel_lora:
    input:
        action("automodel_lora/adapter"),
        **wiring.after_probe,
        **wiring.after_gates,
        model=artifact("base_extended"),
        encoded=lambda wildcards: [artifact(f"encoded/{name}") for name in sorted(settings.instructions.train)],
    output:
        sealed("automodel_lora/adapter"),
    params:
        **parameters(settings.methods["automodel_lora"]),
        plugins=["tapeout.train.methods.automodel_lora", settings.base.family_module],
    resources:
        **site.gpu_nodes(settings.methods["automodel_lora"]),
    threads: settings.methods["automodel_lora"].threads
    log:
        "logs/automodel_lora/adapter.log",
    conda:
        wiring.training_environment(settings.methods["automodel_lora"])
    container:
        nemo_image
    shell:
        build("scripts/automodel_lora.py")
