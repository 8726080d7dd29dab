rule dapt:
    input:
        action("dapt/model"),
        base=artifact("nemo/base.nemo"),
        domain=artifact("corpus/domain", "train.jsonl"),
        general=artifact("corpus/general", "train.jsonl"),
    output:
        sealed("dapt/model"),
    params:
        **parameters(settings.dapt),
    resources:
        typical_seconds=120,
    threads: settings.dapt.threads
    log:
        "logs/dapt/model.log",
    conda:
        "../envs/nemo.yaml"
    shell:
        build("scripts/dapt.py")
