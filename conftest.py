"""For all tests here: pytest's own tests of plugins. Our plugin is loaded already, by its entry point."""

pytest_plugins = ("pytester",)
