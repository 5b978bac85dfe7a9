"""How near one GPU comes to its limit: every way of training, its bits, its memory, and what the paper takes.

    python benchmarks/cuda.py              # on a machine with a GPU: under 10 minutes, no network
    python benchmarks/cuda.py --dry-run    # every path on the CPU, with tiny sizes: its figures mean nothing

torch imports a package that is called `cuda`, and looks for it beside the script first: there it finds this
file, which then stands for that package.
"""

from pkgutil import extend_path

if __name__ == "__main__":
    from cuda_criteria import main

    main()
else:
    __path__: list[str] = extend_path([], __name__)
