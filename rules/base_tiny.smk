rule base_tiny:
    input:
        action("base"),
        vocabulary=wiring.base_vocabulary,
        general=artifact("corpus/general", "train.jsonl"),
    output:
        sealed("base"),
    params:
        **parameters(settings.base, model_file=settings.tokenizer.model_file),
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
