rule raw:
    input:
        action("raw.txt"),
    output:
        sealed("raw.txt"),
    params:
        source=sha256(Path("src/data.txt").read_bytes()).hexdigest(),
        fetches=True,
    resources:
        typical_seconds=30,
    log:
        "logs/raw.log",
    conda:
        "../envs/light.yaml"
    shell:
        build("scripts/raw.py")


rule formatted:
    input:
        action("formatted.txt"),
        raw=artifact("raw.txt"),
    output:
        sealed("formatted.txt"),
    log:
        "logs/formatted.log",
    conda:
        "../envs/light.yaml"
    shell:
        build("scripts/formatted.py")


rule model:
    input:
        action("model"),
        formatted=artifact("formatted.txt"),
    output:
        sealed("model"),
    params:
        **config["model"],
    threads: 2
    log:
        "logs/model.log",
    conda:
        "../envs/heavy.yaml"
    container:
        image
    shell:
        build("scripts/model.py")


rule notes:
    input:
        action("notes/{language}.txt"),
    output:
        sealed("notes/{language}.txt"),
    params:
        language=lambda wildcards: wildcards.language,
    log:
        "logs/notes/{language}.log",
    conda:
        "../envs/light.yaml"
    shell:
        build("scripts/notes.py")


rule report:
    input:
        action("report.txt"),
        model=artifact("model", "weights.txt"),
        notes=[artifact("notes/en.txt"), artifact("notes/de.txt")],
    output:
        sealed("report.txt"),
    log:
        "logs/report.log",
    conda:
        "../envs/light.yaml"
    shell:
        build("scripts/report.py")
