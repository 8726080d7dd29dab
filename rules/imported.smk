rule imported:
    input:
        action("imported/{name}"),
        source=lambda wildcards: artifact(f"sources/{wildcards.name}"),
    output:
        sealed("imported/{name}"),
    wildcard_constraints:
        name="|".join(map(re.escape, settings.imported.rows)) or "none",
    params:
        source=lambda wildcards: wildcards.name,
        licence=lambda wildcards: settings.sources[wildcards.name].licence,
        rows=lambda wildcards: settings.rows_of(wildcards.name),
        template=lambda wildcards: settings.template_of(wildcards.name),
    resources:
        **site.cpu,
    threads: 8
    log:
        "logs/imported/{name}.log",
    conda:
        "../envs/corpus.yaml"
    shell:
        build("scripts/imported.py")


rule encoded:
    input:
        action("encoded/{name}"),
        rows=lambda wildcards: artifact(f"imported/{wildcards.name}"),
        tokenizer=artifact("tokenizer", "tokenizer.model"),
    output:
        sealed("encoded/{name}"),
    wildcard_constraints:
        name="|".join(map(re.escape, settings.imported.rows)) or "none",
    params:
        **parameters(settings.encoding()),
    resources:
        **site.cpu,
    log:
        "logs/encoded/{name}.log",
    conda:
        "../envs/data.yaml"
    shell:
        build("scripts/encoded.py")


rule imports:
    input:
        [artifact(f"imported/{name}") for name in sorted(settings.imported.rows)],
    localrule: True


rule encodings:
    input:
        [artifact(f"encoded/{name}") for name in sorted(settings.imported.rows)],
    localrule: True
