rule instructions_raw:
    input:
        action("instructions/raw.jsonl"),
        sources=[artifact(f"sources/{name}") for name in settings.corpus.domain.sources],
    output:
        sealed("instructions/raw.jsonl"),
    params:
        **parameters(
            settings.instructions.raw,
            domain=settings.corpus.domain.identity(),
            licences={name: settings.sources[name].licence for name in settings.corpus.domain.sources},
        ),
    resources:
        **site.cpu,
    localrule: site.short(costs.seconds("instructions_raw"))
    log:
        "logs/instructions/raw.log",
    conda:
        "../envs/data.yaml"
    shell:
        build("scripts/instructions_raw.py")


rule instructions_formatted:
    input:
        action("instructions/formatted.jsonl"),
        raw=artifact("instructions/raw.jsonl"),
        own=[artifact(f"sources/{name}") for name in sorted(settings.instructions.own)],
    output:
        sealed("instructions/formatted.jsonl"),
    params:
        **parameters(
            settings.instructions.formatted,
            own={name: settings.sources[name].licence for name in settings.instructions.own},
        ),
    resources:
        **site.cpu,
    localrule: site.short(costs.seconds("instructions_formatted"))
    log:
        "logs/instructions/formatted.log",
    conda:
        "../envs/data.yaml"
    shell:
        build("scripts/instructions_formatted.py")


rule instructions_splits:
    input:
        action("instructions/splits"),
        formatted=artifact("instructions/formatted.jsonl"),
    output:
        sealed("instructions/splits"),
    params:
        **parameters(settings.instructions.splits, test=list(settings.corpus.domain.test)),
    resources:
        **site.cpu,
    localrule: site.short(costs.seconds("instructions_splits"))
    log:
        "logs/instructions/splits.log",
    conda:
        "../envs/data.yaml"
    shell:
        build("scripts/instructions_splits.py")


rule instructions_packed:
    input:
        action("instructions/packed"),
        train=artifact("instructions/splits", "train.jsonl"),
        validation=artifact("instructions/splits", "validation.jsonl"),
        tokenizer=artifact("tokenizer", "tokenizer.model"),
    output:
        sealed("instructions/packed"),
    params:
        template=lambda wildcards: settings.sft.template,  # a function, because of its braces
        seq_length=settings.sft.seq_length,
    resources:
        **site.cpu,
    threads: 8
    log:
        "logs/instructions/packed.log",
    conda:
        "../envs/data.yaml"
    shell:
        build("scripts/instructions_packed.py")
