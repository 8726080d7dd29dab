rule sft:
    input:
        action("sft/model"),
        **probed,
        **gated,
        **encoded_rows,
        model=artifact("dapt/model"),
        train=artifact("instructions/splits", "train.jsonl"),
        validation=artifact("instructions/splits", "validation.jsonl"),
    output:
        sealed("sft/model"),
    params:
        **parameters(settings.sft),
    resources:
        **site.gpu_nodes(settings.sft),
        typical_seconds=15,
        gflop=estimates.training_gflop(settings.sft),
        typical_bytes=estimates.extended_bytes,
    threads: settings.sft.threads * settings.sft.layout.processes
    log:
        "logs/sft/model.log",
    conda:
        trained_in[settings.sft.layout.accelerator]
    container:
        nemo_image
    shell:
        build("scripts/sft.py")
