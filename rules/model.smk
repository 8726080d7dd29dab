rule base:
    input:
        action("base"),
        tokenizer=artifact("tokenizer", "base.model"),
        general=artifact("corpus/general", "train.jsonl"),
    output:
        sealed("base"),
    params:
        **parameters(settings.base),
    resources:
        **site.cpu,
        typical_seconds=5,
        gflop=estimates.base_gflop,
        typical_bytes=estimates.base_bytes,
    threads: settings.base.threads
    log:
        "logs/base.log",
    conda:
        "../envs/nemo.yaml"
    shell:
        build("scripts/base.py")


rule base_extended:
    input:
        action("base_extended"),
        base=artifact("base"),
        tokenizer=artifact("tokenizer", "tokenizer.model"),
    output:
        sealed("base_extended"),
    params:
        **parameters(settings.base_extended),
    resources:
        **site.cpu,
        parameters=estimates.extended.parameters,
        typical_seconds=estimates.copying_seconds(10),
        typical_bytes=estimates.extended_bytes,
    log:
        "logs/base_extended.log",
    conda:
        "../envs/nemo.yaml"
    shell:
        build("scripts/base_extended.py")
