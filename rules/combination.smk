# The rules of one combination of a sweep, as a module of the Snakefile.
settings, site, costs, layer = config["settings"], config["site"], config["costs"], config["layer"]


include: "graph.smk"


layer.close()
