"""A store that dies at the n-th write, as a killed process does."""


class Killed(BaseException):
    pass


class DyingStore:
    """Forwards every call and dies at the n-th write, like a killed process."""

    def __init__(self, store, writes):
        self._store, self._left = store, writes

    def __getattr__(self, name):
        real = getattr(self._store, name)
        if name not in ("write", "write_if", "put_if", "put_file"):
            return real

        def counted(*arguments):
            if self._left == 0:
                raise Killed
            self._left -= 1
            return real(*arguments)

        return counted
