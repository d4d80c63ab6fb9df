"""Authentication of clients: static tokens, or JSON Web Tokens that a provider signs."""

import contextlib
import hashlib
import time
from pathlib import Path
from typing import Any, Final, Protocol

from mammo_core.documents import parse_json
from mammo_core.errors import RecipeError
from mammo_core.serving.faults import RequestError

#: Shorter tokens can be guessed.
MINIMUM_TOKEN: Final = 16
#: Asymmetric algorithms only: a key file that leaks must not allow anyone to sign.
ALGORITHMS: Final = (
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA",
)  # fmt: skip
_MAXIMUM_FILE: Final = 2**20
_MAXIMUM_VALUES: Final = 10_000
_MAXIMUM_TOKEN: Final = 8192
#: Difference that the clocks of two machines may have (seconds).
_LEEWAY_S: Final = 30
#: How often a file is looked at for changes (seconds).
_CHECK_S: Final = 1.0


class Scheme(Protocol):
    """A way to recognize clients by their token."""

    def client_of(self, token: str) -> str | None:
        """Return the name of the client with a token; None if the token is not valid."""
        ...


class Authenticator:
    """Recognizes the clients of requests by `Authorization: Bearer …`.

    Args:
        schemes: The ways to recognize a token, in order; at least one.
    """

    def __init__(self, *schemes: Scheme) -> None:
        self._schemes = schemes

    def require_client(self, authorization: str | None) -> str:
        """Return the name of the client of a request.

        Args:
            authorization: The header `Authorization`.

        Raises:
            RequestError: There is no token, or it is not valid (401).
        """
        scheme, _, token = (authorization or "").strip().partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise _unauthorized_error("no such header", "")
        token = token.strip()
        if len(token) <= _MAXIMUM_TOKEN:
            for one in self._schemes:
                client = one.client_of(token)
                if client is not None:
                    return client
        raise _unauthorized_error("a token that is not valid", ', error="invalid_token"')


def authenticator_from_files(
    tokens: Path | None, jwks: Path | None, audience: str = "", issuer: str = ""
) -> Authenticator | None:
    """Return the authenticator for the options of a server; None without any.

    Args:
        tokens: A file of static tokens.
        jwks: A JWKS file.
        audience: The audience of JSON Web Tokens.
        issuer: The issuer of JSON Web Tokens; empty for any.

    Raises:
        RecipeError: A file cannot be used, or a JWKS file has no audience.
    """
    schemes: list[Scheme] = [] if tokens is None else [StaticTokens(tokens)]
    if jwks is not None:
        if not audience:
            raise RecipeError(
                "JSON Web Tokens need an audience",
                expected="--jwt-audience: a provider signs tokens for other services too",
                received="none",
            )
        schemes.append(JsonWebTokens(jwks, audience, issuer))
    elif audience or issuer:
        raise RecipeError(
            "JSON Web Tokens need keys",
            expected="--jwks with --jwt-audience and --jwt-issuer",
            received="no --jwks",
        )
    return Authenticator(*schemes) if schemes else None


class StaticTokens:
    """Tokens from a file with `<name> <token>` in each line; `#` starts a comment.

    The file is read again when it changes, so a token can be replaced without a restart. While
    the changed file is invalid, the last valid one is in force.

    Args:
        path: The file.

    Raises:
        RecipeError: The file cannot be read, has no token, or has one that is too short.
    """

    def __init__(self, path: Path) -> None:
        self._file = _WatchedFile(path)
        self._clients = _parse_tokens(self._file.read(), path)

    def client_of(self, token: str) -> str | None:
        """Return the name of the client with a token; None if there is none."""
        if (content := self._file.changed()) is not None:
            with contextlib.suppress(RecipeError):
                self._clients = _parse_tokens(content, self._file.path)
        # By digest: the time of the search says nothing about the tokens.
        return self._clients.get(_digest(token))


class JsonWebTokens:
    """JSON Web Tokens (RFC 7519) that are signed with a key of a JWKS file (RFC 7517).

    A token needs `exp`, `sub` and the audience. The file is read again when it changes.

    Args:
        path: The JWKS file, with public keys.
        audience: The audience that tokens must have: tokens for other services are not accepted.
        issuer: The issuer that tokens must have; empty for any.

    Raises:
        RecipeError: The file cannot be read, or has no public key for signatures.
    """

    def __init__(self, path: Path, audience: str, issuer: str = "") -> None:
        self._file = _WatchedFile(path)
        self._audience, self._issuer = audience, issuer
        self._keys = _parse_keys(self._file.read(), path)

    def client_of(self, token: str) -> str | None:
        """Return the subject of a valid token; None if it is not valid."""
        import jwt

        if (content := self._file.changed()) is not None:
            with contextlib.suppress(RecipeError):
                self._keys = _parse_keys(content, self._file.path)
        try:
            header = jwt.get_unverified_header(token)
        except jwt.PyJWTError:
            return None
        for key_id, key, algorithms in self._keys:
            if header.get("kid") not in (None, key_id) or header.get("alg") not in algorithms:
                continue
            try:
                claims = jwt.decode(
                    token,
                    key,
                    algorithms=algorithms,
                    audience=self._audience,
                    issuer=self._issuer or None,
                    leeway=_LEEWAY_S,
                    options={"require": ["exp", "sub", "aud"]},
                )
            except jwt.PyJWTError:
                continue
            return str(claims["sub"])
        return None


class _WatchedFile:
    """A small file that may change."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._stamp: tuple[int, ...] = ()
        self._next_check = 0.0

    def read(self) -> bytes:
        try:
            self._stamp = self._stamp_of_file()
            with self.path.open("rb") as file:
                content = file.read(_MAXIMUM_FILE + 1)
        except OSError as error:
            raise RecipeError(
                f"{self.path} cannot be read",
                expected="a file with tokens or keys",
                received=error.strerror or type(error).__name__,
            ) from error
        if len(content) > _MAXIMUM_FILE:
            raise RecipeError(
                f"{self.path} is too large",
                expected=f"at most {_MAXIMUM_FILE} bytes",
                received="more",
            )
        return content

    def changed(self) -> bytes | None:
        """Return the content if the file changed since the last look."""
        if time.monotonic() < self._next_check:
            return None
        self._next_check = time.monotonic() + _CHECK_S
        try:
            return self.read() if self._stamp_of_file() != self._stamp else None
        except (OSError, RecipeError):
            return None

    def _stamp_of_file(self) -> tuple[int, ...]:
        status = self.path.stat()
        return status.st_ino, status.st_size, status.st_mtime_ns


def _parse_tokens(content: bytes, path: Path) -> dict[bytes, str]:
    clients: dict[bytes, str] = {}
    for number, line in enumerate(content.decode("utf-8", "replace").splitlines(), 1):
        words = line.split("#")[0].split()
        if not words:
            continue
        if len(words) != 2 or len(words[1]) < MINIMUM_TOKEN:
            raise RecipeError(
                f"{path}, line {number}, is not valid",
                expected=f"a name and a token of at least {MINIMUM_TOKEN} characters",
                received=f"{len(words)} words" if len(words) != 2 else "a shorter token",
                hint="`openssl rand -hex 32` makes a token",
            )
        clients[_digest(words[1])] = words[0]
    if not clients:
        raise RecipeError(
            f"{path} has no tokens", expected="a name and a token in a line", received="none"
        )
    return clients


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()


def _parse_keys(content: bytes, path: Path) -> list[tuple[str | None, Any, tuple[str, ...]]]:
    """Return id, key and algorithms of each public key for signatures."""
    import jwt

    keys: list[tuple[str | None, Any, tuple[str, ...]]] = []
    try:
        entries = parse_json(content, max_values=_MAXIMUM_VALUES)["keys"]
        for entry in entries:
            if entry.get("kty") == "oct" or "d" in entry:
                raise RecipeError(
                    f"{path} has a secret key",
                    expected="public keys only",
                    received=f"a key of type {str(entry.get('kty'))[:8]} with its secret part",
                )
            if entry.get("use", "sig") != "sig":
                continue
            key = jwt.PyJWK(entry)
            if "alg" not in entry and entry["kty"] == "RSA":
                algorithms = tuple(name for name in ALGORITHMS if name[:2] in ("RS", "PS"))
            else:
                algorithms = (key.algorithm_name,)
            if set(algorithms) <= set(ALGORITHMS):
                keys.append((key.key_id, key.key, algorithms))
    except (ValueError, KeyError, TypeError, AttributeError, NotImplementedError) as error:
        raise _no_keys_error(path, type(error).__name__) from error
    except jwt.PyJWTError as error:
        raise _no_keys_error(path, "a key that cannot be read") from error
    if not keys:
        raise _no_keys_error(path, "none")
    return keys


def _no_keys_error(path: Path, received: str) -> RecipeError:
    return RecipeError(
        f"{path} cannot be used as a JWKS file",
        expected="JSON with `keys`: public keys for signatures (RFC 7517)",
        received=received,
    )


def _unauthorized_error(received: str, suffix: str) -> RequestError:
    return RequestError(
        401,
        "The request is not authenticated",
        expected="the header `Authorization: Bearer <token>`",
        received=received,
        headers={"www-authenticate": f'Bearer realm="mammo"{suffix}'},
    )
