rule base:
    input:
        action("base"),
        tokenizer=artifact("tokenizer", "base.model"),
        general=artifact("corpus/general", "train.jsonl"),
    output:
        sealed("base"),
    params:
        **parameters(settings.base),
        plugins=[settings.base.family_module],
    resources:
        **site.cpu,
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
        plugins=[settings.base.family_module],
    resources:
        **site.cpu,
    log:
        "logs/base_extended.log",
    conda:
        "../envs/nemo.yaml"
    shell:
        build("scripts/base_extended.py")
