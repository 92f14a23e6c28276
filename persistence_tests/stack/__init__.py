"""The one place that talks to Compose and the engine: isolation, engine, helper containers."""
