"""The networks of this library, one module each; every module registers what it builds."""
