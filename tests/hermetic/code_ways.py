"""Ways in which code that its action does not list could reach a step; see ``ways``."""

import importlib.util

from tests.hermetic.places import (
    Place,
    archive,
    both,
    byte_code,
    file,
    variables,
)

NOTICED, IMPOSSIBLE, NO_EFFECT = "noticed", "impossible", "no effect"

HIDDEN = file("hidden.py", "VALUE = '{value}'\n")
HELPER = "lib/helper.py"
PORT = 28461
LIBC = "import ctypes\nlibc = ctypes.CDLL(None)\nbuffer = ctypes.create_string_buffer(8)\n"
SETTINGS = (
    "USER",
    "LOGNAME",
    "LD_LIBRARY_PATH",
    "http_proxy",
    "HTTP_COOKIE",
    "HF_TOKEN",
    "SLURM_JOB_ID",
    "LANG",
    "LC_ALL",
)
RC = (
    *("MPLCONFIGDIR", "MATPLOTLIBRC", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"),
    *("PYTHONPYCACHEPREFIX", "PYTHONUSERBASE", "PYTHONWARNINGS"),
)

Way = tuple[Place, str, str] | tuple[Place, str, str, str | None]
"""Place, program, outcome, and the outcome with the audit hook if it is another; None: out of the hook's reach."""

CODE_WAYS: dict[str, Way] = {
    "import_module": (HIDDEN, "import importlib\nfound = importlib.import_module('hid' + 'den').VALUE", IMPOSSIBLE),
    "__import__": (HIDDEN, "found = __import__('hid' + 'den').VALUE", IMPOSSIBLE),
    "import_module by getattr": (
        HIDDEN,
        "import importlib\nfound = getattr(importlib, 'import_' + 'module')('hidden').VALUE",
        IMPOSSIBLE,
    ),
    "eval of an import": (HIDDEN, 'found = eval("__imp" + "ort__(\'hidden\').VALUE")', IMPOSSIBLE),
    "runpy.run_path": (HIDDEN, "import runpy\nfound = runpy.run_path('hidden.py')['VALUE']", IMPOSSIBLE),
    "runpy.run_module": (HIDDEN, "import runpy\nfound = runpy.run_module('hidden')['VALUE']", IMPOSSIBLE),
    "python -m": (
        file("hidden.py", "print('{value}')"),
        "import subprocess\n"
        "found = subprocess.run([sys.executable, '-m', 'hidden'], check=True, stdout=-1).stdout.decode()",
        IMPOSSIBLE,
    ),
    "pkgutil": (HIDDEN, "import pkgutil\nfound = pkgutil.resolve_name('hidden:VALUE')", IMPOSSIBLE),
    "a loader": (
        HIDDEN,
        "from importlib.machinery import SourceFileLoader\n"
        "found = SourceFileLoader('hidden', '{root}/hidden.py').load_module().VALUE",
        IMPOSSIBLE,
    ),
    "a pickled name": (HIDDEN, "import pickle\nfound = pickle.loads(b'chidden\\nVALUE\\n.')", IMPOSSIBLE),
    "exec of a file": (file("hidden.txt", "found = '{value}'"), "exec(open('hidden.txt').read())", IMPOSSIBLE),
    "exec of a file beside the script": (
        file("scripts/table.txt", "found = '{value}'"),
        "exec(Path(__file__).with_name('table.txt').read_text())",
        NOTICED,
    ),
    "a script beside the script": (
        file("scripts/beside.py", "VALUE = '{value}'"),
        "import beside\nfound = beside.VALUE",
        IMPOSSIBLE,
    ),
    "sitecustomize": (
        file("sitecustomize.py", "import builtins\nbuiltins.VALUE = '{value}'"),
        "import builtins\nfound = getattr(builtins, 'VALUE', 'none')",
        NO_EFFECT,
    ),
    "usercustomize": (
        both(
            file(
                "{outside}/home/.local/lib/python3.11/site-packages/usercustomize.py",
                "import builtins\nbuiltins.VALUE = '{value}'",
            ),
            variables(HOME="{outside}/home"),
        ),
        "import builtins\nfound = getattr(builtins, 'VALUE', 'none')",
        NO_EFFECT,
    ),
    "byte code of a module": (
        byte_code(HELPER, f"lib/__pycache__/helper.{importlib.util.cache_from_source('x.py').split('.')[-2]}.pyc"),
        "from lib.helper import VALUE\nfound = VALUE",
        NO_EFFECT,
    ),
    "byte code without a module": (
        byte_code("hidden.py", "hidden.pyc"),
        "import hidden\nfound = hidden.VALUE",
        IMPOSSIBLE,
    ),
    "a zip archive": (
        archive,
        "sys.path.insert(0, '{root}/hidden.zip')\nimport hidden\nfound = hidden.VALUE",
        IMPOSSIBLE,
    ),
    "PYTHONPATH": (
        both(file("{outside}/more/hidden.py", "VALUE = '{value}'"), variables(PYTHONPATH="{outside}/more")),
        "import hidden\nfound = hidden.VALUE",
        IMPOSSIBLE,
    ),
    "the project on sys.path": (
        HIDDEN,
        "sys.path.append('{root}')\nimport hidden\nfound = hidden.VALUE",
        NOTICED,
        NOTICED,
    ),
    "a module in place of the library's": (
        file("random.py", "VALUE = '{value}'"),
        "import tempfile\nfound = getattr(sys.modules['random'], 'VALUE', 'none')",
        NO_EFFECT,
    ),
    "data of a package": (
        file("lib/words.txt"),
        "import lib\nfound = Path(lib.__file__).with_name('words.txt').read_text()",
        NOTICED,
    ),
    "data of a package through importlib.resources": (
        file("lib/words.txt"),
        "from importlib import resources\nimport lib\nfound = resources.files(lib).joinpath('words.txt').read_text()",
        NOTICED,
    ),
    "a namespace package's module": (
        file("spare/part.py", "VALUE = '{value}'"),
        "import spare.part\nfound = spare.part.VALUE",
        NOTICED,
    ),
    "a namespace package's data": (
        both(file("spare/part.py", "VALUE = 0"), file("spare/words.txt")),
        "import spare.part\nfound = Path(spare.part.__file__).with_name('words.txt').read_text()",
        NOTICED,
    ),
    "data of a package that is not imported": (
        file("data/words.txt"),
        "from importlib import resources\nfound = resources.files('data').joinpath('words.txt').read_text()",
        IMPOSSIBLE,
    ),
    "a docstring": (
        file(HELPER, '"""{value}"""\nVALUE = "v"\n'),
        "import lib.helper\nfound = str(lib.helper.__doc__)",
        NO_EFFECT,
    ),
    "a comment": (
        file(HELPER, 'def f():\n    # {value}\n    return 1\n\n\nVALUE = "v"\n'),
        "import inspect\nfrom lib.helper import f\nfound = inspect.getsource(f)",
        NO_EFFECT,
    ),
    "a line number": (
        lambda world, value: [None, world.write(HELPER, "\n" * len(value) + 'def f(): ...\nVALUE = "v"\n')][0],
        "from lib.helper import f\nfound = str(f.__code__.co_firstlineno)",
        NO_EFFECT,
    ),
    "the text of a module": (
        file(HELPER, "VALUE = 'v'  # {value}\n"),
        "import lib.helper\nfound = Path(lib.helper.__file__).read_text()",
        NO_EFFECT,
    ),
    "a hash seed": (variables(PYTHONHASHSEED="{value}"), "found = str(hash('a'))", NO_EFFECT),
}
