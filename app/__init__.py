"""The pages, the command line, and what is taken away from them: files, pictures, widgets for notebooks (`from app import lab`)."""


def __getattr__(name: str):
    if name == "lab":  # when first asked for: who runs the command line needs none of it
        from app.notebook import lab

        return lab
    raise AttributeError(f"module 'app' has no attribute {name!r}")
