"""Write a folder of many files, so that sealing and restoring it take some time."""

import time

from lib.options import read

inputs, params, output = read("raw")
time.sleep(params["pause"])
for folder in range(4):
    (output / str(folder)).mkdir(parents=True)
    for file in range(10):
        text = f"{params['number']} {params['lr']} {folder} {file} {inputs['raw'][0].read_text()}"
        (output / str(folder) / str(file)).write_text(text * 500)
