if settings.dapt.reads == "pretraining":
    token_folders = [artifact(f"pretraining/tokens/{name}") for name in settings.pretraining.shard_names]
    training_text = {"blend": artifact("pretraining/blend.json"), "shards": token_folders}
else:
    training_text = {name: artifact(f"corpus/{name}", "train.jsonl") for name in ("domain", "general")}


rule dapt:
    input:
        action("dapt/model"),
        **probed,
        **gated,
        **training_text,
        base=artifact("nemo/base.nemo"),
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
