"""Dependencies point one way, importing does nothing, and compiled kernels are found again exactly as long as their sources are the same."""

import importlib.util
import json
import shutil
import subprocess
import sys

import numpy as np
import pytest

import landscapes.jit
from dynamics import RULES, Finite, Simulation, warm
from landscapes import CATALOGUE, DoubleWell, Valley
from landscapes.scale import parameters

ABSENT = {
    "landscapes": {"torch", "torchvision", "panel", "holoviews", "bokeh", "matplotlib", "pandas", "sympy", "dynamics", "nets", "app"},
    "dynamics": {"torch", "torchvision", "panel", "holoviews", "bokeh", "matplotlib", "pandas", "sympy", "nets", "app"},
    "nets": {"torchvision", "sklearn", "PIL", "matplotlib", "panel", "holoviews", "bokeh", "app"},
}
PACKAGES = [name for name in (*ABSENT, "app") if importlib.util.find_spec(name)]

LOOK = """
import importlib, json, pkgutil, random, sys, threading
import numpy
sys.modules.update(dict.fromkeys(["scipy", "hypothesis", "pytest"]))  # of the tests only: importing one of them fails here
before = random.getstate(), repr(numpy.random.get_state())
for name in sys.argv[1:]:
    package = importlib.import_module(name)
    for module in pkgutil.iter_modules(package.__path__, name + "."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    print(json.dumps({
        "package": name,
        "modules": sorted({name.partition(".")[0] for name in sys.modules}),
        "threads": [thread.name for thread in threading.enumerate()],
        "same random state": before == (random.getstate(), repr(numpy.random.get_state())),
    }))
"""


@pytest.fixture(scope="module")
def imported():
    """What a fresh interpreter holds after importing every module of a package and of those below it: one interpreter, from the lowest up."""
    done = subprocess.run([sys.executable, "-W", "error", "-c", LOOK, *PACKAGES], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not done.stderr and len(done.stdout.splitlines()) == len(PACKAGES), "importing prints something"
    return {seen["package"]: seen for seen in map(json.loads, done.stdout.splitlines())}


@pytest.mark.parametrize("name", PACKAGES)
def test_a_package_imports_nothing_from_the_layers_above_it(imported, name):
    assert not ABSENT.get(name, set()) & set(imported[name]["modules"])


@pytest.mark.parametrize("name", PACKAGES)
def test_importing_starts_no_thread_and_leaves_the_global_random_state_alone(imported, name):
    assert imported[name]["threads"] == ["MainThread"] and imported[name]["same random state"]


@pytest.fixture
def sources(tmp_path, monkeypatch):
    """A copy of the sources, and the kernels' cache folder that belongs to it."""
    for name in ("landscapes", "dynamics"):
        shutil.copytree(landscapes.jit.ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(landscapes.jit, "ROOT", tmp_path)
    monkeypatch.setenv("LAMBDASCAPE_CACHE", str(tmp_path / "cache"))
    return tmp_path


@pytest.mark.parametrize("changed", ["landscapes/polynomial.py", "dynamics/random.py", "dynamics/sgd.py"])
def test_a_change_in_any_file_with_kernels_gives_all_kernels_another_cache_folder(sources, changed):
    before = landscapes.jit.cache_folder()
    assert before.parent == sources / "cache" / "lambdascape" and before == landscapes.jit.cache_folder()
    with (sources / changed).open("a") as file:
        file.write("\n# one more line\n")
    assert landscapes.jit.cache_folder() != before


def test_a_change_in_a_file_without_kernels_keeps_the_compiled_ones(sources):
    before = landscapes.jit.cache_folder()
    with (sources / "landscapes/catalogue.py").open("a") as file:
        file.write("\n# one more line\n")
    assert landscapes.jit.cache_folder() == before


def test_a_new_version_of_a_compiler_or_of_numpy_does_not_load_the_old_kernels(sources, monkeypatch):
    before = landscapes.jit.cache_folder()
    monkeypatch.setattr(landscapes.jit.numba, "__version__", "0.0")
    assert landscapes.jit.cache_folder() != before


def test_after_warming_up_no_simulation_and_no_histogram_compiles_anything(compiled):
    warm.warm()
    before = compiled()
    assert before > 0
    for landscape in (*(cls() for cls in CATALOGUE.values()), DoubleWell(0.7, 5, 6), Valley(3, 4)):
        for cls in RULES.values():
            result = Simulation(landscape, cls(), n=3, steps=70).run()
            result.histogram(np.linspace(-1, 1, 5), axis=landscape.dim - 1)
    for cls in RULES.values():  # every choice that a rule offers, given samples, a single trajectory, several slices
        for p in parameters(cls):
            for choice in p.choices:
                Simulation(DoubleWell(), cls(**{p.name: choice}), n=1, steps=1).run()
        Simulation(Valley(), cls(), n=300, steps=65, data=Finite(size=7)).run()
        Simulation(DoubleWell(), cls(), n=1, steps=65, data=Finite(size=7)).run()
    assert compiled() == before
