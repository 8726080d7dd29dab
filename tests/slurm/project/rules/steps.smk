rule raw:
    input:
        action("raw.txt"),
    output:
        sealed("raw.txt"),
    params:
        source=sha256(Path("src/data.txt").read_bytes()).hexdigest(),
        fetches=True,
    localrule: True
    log:
        "logs/raw.log",
    conda:
        "../envs/light.yaml"
    shell:
        build("scripts/raw.py")


rule prepared:
    input:
        action("prepared.txt"),
        raw=artifact("raw.txt"),
    output:
        sealed("prepared.txt"),
    resources:
        **site.cpu,
    log:
        "logs/prepared.log",
    conda:
        "../envs/light.yaml"
    shell:
        build("scripts/prepared.py")


rule train:
    input:
        action("model"),
        prepared=artifact("prepared.txt"),
    output:
        sealed("model"),
    params:
        steps=config["steps"],
        layout=config["layout"],
        machine=str(Path("machine").absolute()),
    resources:
        **site.gpu_nodes(training),
        typical_seconds=5,
    log:
        "logs/model.log",
    conda:
        "../envs/light.yaml"
    shell:
        build("scripts/train.py")


rule report:
    input:
        action("report.txt"),
        model=artifact("model", "weights.txt"),
    output:
        sealed("report.txt"),
    localrule: True
    log:
        "logs/report.log",
    conda:
        "../envs/light.yaml"
    shell:
        build("scripts/report.py")
