"""The error tree of decaf.

::

    DecafError              exit 1
    ├── ConfigError         exit 2   an option, a name or a combination of options is wrong
    ├── DataError           exit 1   images, labels or lists are missing or malformed
    ├── StoreError          exit 1   a feature store cannot be made, read or trusted
    │   └── StoreMismatchError       a store was made with other settings
    └── BackboneError       exit 1   a net, its weights or its layers are not usable

Every message says what was asked, what was found and what to do:
``unknown layer 'fc9' for alexnet; choose one of: pool5, fc6, fc7``.
"""


class DecafError(Exception):
    """Base of every error that decaf raises on purpose."""

    exit_code: int = 1


class ConfigError(DecafError):
    """An option, or a combination of options, is wrong."""

    exit_code: int = 2


class DataError(DecafError):
    """Images, labels or lists are missing or malformed."""


class StoreError(DecafError):
    """A feature store cannot be made, read or trusted."""


class StoreMismatchError(StoreError):
    """A feature store was made with settings other than those asked for."""


class BackboneError(DecafError):
    """A net, its weights or its layers are not usable."""
