"""Tells PyInstaller, through the entry point ``pyinstaller40``, where fastprop's hook is."""


def get_hook_dirs() -> list[str]:
    """Return the directories with hooks."""
    return list(__path__)
