"""One family of errors.

A bad *record* is counted under a reason and kept aside; a bad *run* stops with one of these. The message names the
value, the rule and, where there is one, the remedy: it is all the command line prints.
"""


class EduSieveError(Exception):
    """Base class. The command line prints these as one line, without a traceback, and exits with 2."""


class SettingsError(EduSieveError, ValueError):
    """A setting is missing, unknown, out of range, or contradicts another."""


class InputError(EduSieveError):
    """An input is missing, empty, unreadable, or not of the kind that was asked for."""


class IntegrityError(EduSieveError):
    """Bytes on disk are not those that a manifest or a digest promises."""


class BusyError(EduSieveError):
    """Another process works on the same output."""
