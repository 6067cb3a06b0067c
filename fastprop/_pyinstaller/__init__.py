"""What PyInstaller is told of fastprop, through the entry point ``pyinstaller40``: where its hook is."""


def get_hook_dirs() -> list[str]:
    """Return the directories with hooks."""
    return list(__path__)
