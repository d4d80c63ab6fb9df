"""Who signed an object of a chain."""

from mammo_core.packaging.signatures.trust import UNSIGNED, TrustPolicy


def signature_fault(
    trust: TrustPolicy | None, signed_by: str, kind: str, content: bytes, signature: str
) -> str:
    """Return what is wrong with a signature; empty if it is sound, or there is no policy.

    A key that is no longer valid may have signed the past; one that was revoked may not.

    Args:
        trust: The trusted keys; None: signatures are not verified.
        signed_by: Id of the key that is said to have signed.
        kind: The kind of the content, as a media type.
        content: What was signed.
        signature: The signature (base64).
    """
    if trust is None:
        return ""
    if signed_by == UNSIGNED:
        return f"it is unsigned; expected a signature by {trust.names()}"
    key = trust.find(signed_by)
    if key is None:
        return f"it is signed by an unknown key, {signed_by[:16]}"
    if key.revoked:
        return f"it is signed by {key.name}, revoked on {key.revoked}"
    if not key.has_signed_text(kind, content, signature):
        return f"its signature is not by {key.name}: it was changed"
    return ""


def signer_name(trust: TrustPolicy | None, signed_by: str) -> str:
    """Return the name of a key in the policy, or the start of its id, or `unsigned`."""
    key = trust.find(signed_by) if trust is not None else None
    if key is not None:
        return key.name
    return signed_by if signed_by == UNSIGNED else f"the key {signed_by[:16]}"
