"""What a user is told when something cannot be done."""


class UserError(Exception):
    """Something that the user can mend.

    Its text is one line: what was expected, what came, where, what to do. The command line prints
    it behind `preprocess STAGE: ` and ends with status 1.
    """


class Misuse(Exception):  # noqa: N818 - the word of the manual for exit status 2
    """A command line that can never work; ends with status 2."""


def describe_os_error(error: OSError) -> str:
    """Return one line for what the operating system refused, with what to do about it."""
    place = f"{error.filename}: " if error.filename else ""
    advice = {
        2: "check the path",
        13: "check the permissions, or choose another place",
        17: "choose another name",
        28: "free some space, then run the same command again: finished shards are kept",
        30: "the file system is read-only, choose another place",
        122: "the quota is used up: free some space, then run the same command again",
    }.get(error.errno or 0)
    reason = error.strerror or str(error)
    return f"{place}{reason[0].lower()}{reason[1:]}" + (f"; {advice}" if advice else "")
