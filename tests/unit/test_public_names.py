import pkgutil
from importlib import import_module
from importlib.util import find_spec

import pytest

import airflow_provider_runs as package

MODULES = [package.__name__] + [
    module.name
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
    if not module.name.endswith("__main__")
]
#: Modules for the package itself: nobody imports a name from them by a star or by heart.
INTERNAL = f"{package.__name__}.testing."
PUBLIC = [
    name for name in MODULES if not name.startswith(INTERNAL) and not name.endswith("provider_info")
]
if find_spec("aiohttp") is None:  # an extra, which the oldest environment does not have
    PUBLIC.remove(f"{package.__name__}.transport.aiohttp")
#: Where the documented names live.
HOMES = {
    "CancelRunOperator": "operators",
    "Run": "models",
    "RunRef": "models",
    "RunStatus": "models",
    "RunStatusSensor": "sensors",
    "RunStatusTrigger": "triggers",
    "RunsError": "errors",
    "RunsHook": "hooks",
}


def order(name: str) -> tuple[bool, bool, str]:
    """Constants, then classes, then functions: as ruff sorts (RUF022)."""
    return not name.isupper(), not name[0].isupper(), name


def test_all_modules_are_looked_at():
    assert {f"{package.__name__}.{home}" for home in HOMES.values()} <= set(PUBLIC)


@pytest.mark.parametrize("name", PUBLIC)
def test_a_module_says_what_is_public_in_order(name):
    public = import_module(name).__all__
    assert public == sorted(set(public), key=order)


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_exists(name):
    module = import_module(name)
    assert [public for public in module.__all__ if not hasattr(module, public)] == []


@pytest.mark.parametrize(("name", "home"), HOMES.items())
def test_a_name_of_the_package_is_the_object_of_its_module(name, home):
    assert getattr(package, name) is getattr(import_module(f"{package.__name__}.{home}"), name)


def test_the_package_offers_the_documented_names():
    assert set(HOMES) <= set(package.__all__)
    assert set(package.__all__) <= set(dir(package))


def test_every_lazy_name_is_public_and_every_public_name_is_there():
    assert set(package._MODULES) == set(package.__all__) - {"get_provider_info"}


def test_a_name_that_is_none_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'NoSuchName'"):
        package.NoSuchName  # noqa: B018
    assert not hasattr(package, "NoSuchName")
