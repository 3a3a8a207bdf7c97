"""Numbers of things as text."""


def count(number: int, noun: str) -> str:
    """Return "1 job", "2 jobs"."""
    return f"{number} {noun}{'' if number == 1 else 's'}"
