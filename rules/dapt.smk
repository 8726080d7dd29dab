rule dapt:
    input:
        action("dapt/model"),
        **probed,
        **gated,
        base=artifact("nemo/base.nemo"),
        domain=artifact("corpus/domain", "train.jsonl"),
        general=artifact("corpus/general", "train.jsonl"),
    output:
        sealed("dapt/model"),
    params:
        **parameters(settings.dapt),
    resources:
        **site.gpu_nodes(settings.dapt),
        typical_seconds=15,
        gflop=estimates.training_gflop(settings.dapt),
        typical_bytes=estimates.extended_bytes,
    threads: settings.dapt.threads * settings.dapt.layout.processes
    log:
        "logs/dapt/model.log",
    conda:
        trained_in[settings.dapt.layout.accelerator]
    container:
        nemo_image
    shell:
        build("scripts/dapt.py")
