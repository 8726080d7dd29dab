"""Import NeMo as the programs of the steps do: after the shim. Programs that are forked from here use one thread."""

from tapeout.nemo.process import prepare

prepare(threads=1)

import tapeout.nemo.convert  # noqa: E402
import tapeout.train.run  # noqa: E402, F401
