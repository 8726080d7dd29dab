rule dapt:
    input:
        action("dapt/model"),
        **wiring.after_probe,
        **wiring.after_gates,
        **wiring.pretraining_text,
        model=artifact("nemo/base.nemo"),
    output:
        sealed("dapt/model"),
    params:
        **parameters(settings.dapt),
        plugins=["tapeout.train.methods.dapt"],
    resources:
        **site.gpu_nodes(settings.dapt),
    threads: settings.dapt.threads * settings.dapt.layout.devices
    log:
        "logs/dapt/model.log",
    conda:
        wiring.training_environment(settings.dapt)
    container:
        nemo_image
    shell:
        build("scripts/dapt.py")
