"""Run by Python at its start where this folder is on PYTHONPATH: plants what PLANTS says into the stand-in's store.

Only the process that becomes the stand-in imports the module that is changed.
"""

import ctypes
import importlib.abc
import importlib.machinery
import os
import sys

MODULE = "workbench.standin.store"


class Planter(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Loads the store as it is, and wraps how it takes a receipt."""

    def find_spec(self, name, path, target=None):
        if name != MODULE:
            return None
        found = importlib.machinery.PathFinder.find_spec(name, path)
        self.loader = found.loader
        found.loader = self
        return found

    def create_module(self, spec):
        return self.loader.create_module(spec)

    def exec_module(self, module):
        self.loader.exec_module(module)
        library = ctypes.CDLL(os.environ["PLANTS_LIBRARY"])
        work, leak, calls = (int(os.environ[name]) for name in ("PLANT_SCAN", "PLANT_LEAK", "PLANT_CALLS"))
        repeat, thread = (int(os.environ.get(name, 0)) for name in ("PLANT_REPEAT", "PLANT_THREAD"))
        if thread:
            library.plant_thread(ctypes.c_long(thread))
        plain = module.ReceiptStore.store
        counts = {}

        async def store(self, receipt):
            counts[receipt.payer] = counts.get(receipt.payer, 0) + 1
            if work:
                library.plant_scan(ctypes.c_long(counts[receipt.payer]), ctypes.c_long(work))
            if leak:
                library.plant_leak(ctypes.c_long(leak))
            for _ in range(calls):
                library.plant_call()
            if repeat:
                library.plant_repeat(ctypes.c_long(repeat))
            await plain(self, receipt)

        module.ReceiptStore.store = store


if "PLANTS_LIBRARY" in os.environ:
    sys.meta_path.insert(0, Planter())
