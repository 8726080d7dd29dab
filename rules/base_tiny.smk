rule base_tiny:
    input:
        action("base"),
        tokenizer=artifact("tokenizer", settings.tokenizer.base_file_name),
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
        build("scripts/base_tiny.py")
