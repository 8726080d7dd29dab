"""The same graph in plain Snakemake."""

NUMBERS = [f"{number:05d}" for number in range(int(config["shards"]))]


rule all:
    input:
        "bare/index.txt",


rule corpus:
    input:
        "src/changed.txt",
    output:
        [f"bare/corpus/{number}.txt" for number in NUMBERS],
    params:
        numbers=" ".join(NUMBERS),
    shell:
        "for n in {params.numbers}; do if grep -qx $n {input}; then echo $n changed; else echo $n; fi > bare/corpus/$n.txt; done"


rule clean:
    input:
        "bare/corpus/{number}.txt",
    output:
        "bare/clean/{number}.txt",
    shell:
        "cp {input} {output}"


rule count:
    input:
        "bare/clean/{number}.txt",
    output:
        "bare/count/{number}.txt",
    shell:
        "wc -c < {input} > {output}"


rule index:
    input:
        [f"bare/count/{number}.txt" for number in NUMBERS],
    output:
        "bare/index.txt",
    shell:
        "cat bare/count/*.txt > {output}"
